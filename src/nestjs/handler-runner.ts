import { createContextId, ModuleRef } from '@nestjs/core';
import { Injector } from '@nestjs/core/injector/injector.js';
import type { ContextId } from '@nestjs/core/injector/instance-wrapper.js';
import { ConfigurationError, type Message } from '../index.js';
import type { Enhanced, EnhancerFactory, HandlerInstance } from './enhancers.js';
import type { FoundHandler } from './handler-discovery.js';
import { runHandler } from './run-handler.js';

/**
 * Runs one handler class. The class, with its guards, interceptors, pipes and filters, is instantiated once, or for each run
 * if one of them or their dependencies has `Scope.REQUEST`.
 */
export class HandlerRunner {
  readonly #found: FoundHandler;
  readonly #enhancers: EnhancerFactory;
  readonly #injector = new Injector();
  #fixed: Enhanced | undefined;

  constructor(found: FoundHandler, enhancers: EnhancerFactory) {
    this.#found = found;
    this.#enhancers = enhancers;
    for (const scoped of enhancers.scopedGlobals) found.wrapper.addEnhancerMetadata(scoped);
  }

  /**
   * Creates everything that is created once.
   *
   * @throws ConfigurationError for a class without `handle`; an error of a constructor
   */
  async prepare(): Promise<void> {
    if (this.#found.wrapper.isDependencyTreeStatic()) this.#fixed = await this.#make(createContextId());
  }

  /** Handles one message. */
  readonly handle = (message: Message): unknown => {
    return this.#fixed ? call(this.#fixed, message) : this.#handleInRequest(message);
  };

  async #handleInRequest(message: Message): Promise<unknown> {
    const { module } = this.#found;
    const contextId = createContextId();
    const moduleRef = module.getProviderByKey<ModuleRef>(ModuleRef).instance;
    moduleRef.registerRequestByContextId(message, contextId);
    return call(await this.#make(contextId), message);
  }

  async #make(contextId: ContextId): Promise<Enhanced> {
    const { className, module, wrapper } = this.#found;
    // A transient class without a lifetime of its own has only a prototype. Not used if there is an instance.
    const placeholder = wrapper.instance ?? { constructor: wrapper.metatype };
    const instance: HandlerInstance = await this.#injector.loadPerContext(
      placeholder,
      module,
      module.providers,
      contextId,
      wrapper,
    );
    if (typeof instance.handle !== 'function') {
      throw new ConfigurationError('handle', `${className} has no method 'handle'`);
    }
    return this.#enhancers.enhance(instance, { moduleKey: module.token, contextId, inquirerId: wrapper.id });
  }
}

/** Calls `handle` directly if there are no enhancers. */
function call(enhanced: Enhanced, message: Message): unknown {
  const { instance, guards, interceptors, pipes, filters } = enhanced;
  const isBare = guards.length + interceptors.length + pipes.length + filters.length === 0;
  return isBare ? instance.handle(message) : runHandler(enhanced, message);
}
