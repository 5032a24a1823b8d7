import { createContextId, ModuleRef } from '@nestjs/core';
import { Injector } from '@nestjs/core/injector/injector.js';
import type { ContextId } from '@nestjs/core/injector/instance-wrapper.js';
import { ConfigurationError, type Message } from '../index.js';
import type { Enhanced, EnhancerFactory, HandlerInstance } from './enhancers.js';
import type { FoundHandler } from './handler-discovery.js';
import { runHandler } from './run-handler.js';

/**
 * Runs one handler's class. With its guards, interceptors, pipes and filters it is made once, or, when one of them or what they
 * depend on has `Scope.REQUEST`, for each run.
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
   * Makes what is made once.
   *
   * @throws ConfigurationError for a class without `handle`; what a constructor throws
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
    // What a transient class is without a life of its own: its prototype. Not used where there is an instance.
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

/** Straight to `handle` where nothing stands around it. */
function call(enhanced: Enhanced, message: Message): unknown {
  const { instance, guards, interceptors, pipes, filters } = enhanced;
  const isBare = guards.length + interceptors.length + pipes.length + filters.length === 0;
  return isBare ? instance.handle(message) : runHandler(enhanced, message);
}
