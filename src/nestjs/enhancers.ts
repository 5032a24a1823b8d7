import type { CanActivate, NestInterceptor, PipeTransform } from '@nestjs/common';
import type { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { GuardsContextCreator } from '@nestjs/core/guards/guards-context-creator.js';
import type { NestContainer } from '@nestjs/core/injector/container.js';
import type { ContextId, InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import { InterceptorsContextCreator } from '@nestjs/core/interceptors/interceptors-context-creator.js';
import { PipesContextCreator } from '@nestjs/core/pipes/pipes-context-creator.js';
import { type ExceptionFilter, ExceptionFilterFactory } from './exception-filters.js';

/** Nest calls these around `handle`. */
export interface HandlerInstance {
  handle(message: unknown): unknown;
}

/** A handler's instance, and the enhancers around its `handle`. */
export interface Enhanced {
  readonly instance: HandlerInstance;
  readonly callback: (...args: unknown[]) => unknown;
  readonly guards: readonly CanActivate[];
  readonly interceptors: NestInterceptor[];
  readonly pipes: readonly PipeTransform[];
  readonly filters: readonly ExceptionFilter[];
}

/** The module that provides a handler, and the run or lifetime for which it is requested. */
export interface EnhancedPlace {
  readonly moduleKey: string;
  readonly contextId: ContextId;
  /** Transient enhancers are made for each provider: this is its id. */
  readonly inquirerId: string;
}

/**
 * Finds the guards, interceptors, pipes and filters of a handler with Nest's own creators. Without an `ApplicationConfig`
 * these leave out the global ones.
 */
export class EnhancerFactory {
  readonly #guards: GuardsContextCreator;
  readonly #interceptors: InterceptorsContextCreator;
  readonly #pipes: PipesContextCreator;
  readonly #filters: ExceptionFilterFactory;
  readonly #config: ApplicationConfig | undefined;

  constructor(modules: ModulesContainer, config: ApplicationConfig | undefined) {
    // The only part of the container that the creators use.
    const container = { getModules: () => modules } as NestContainer;
    this.#config = config;
    this.#guards = new GuardsContextCreator(container, config);
    this.#interceptors = new InterceptorsContextCreator(container, config);
    this.#pipes = new PipesContextCreator(container, config);
    this.#filters = new ExceptionFilterFactory(container, config);
  }

  /** Global enhancers that are created per request or provider. Nest only applies these to controllers. */
  get scopedGlobals(): readonly InstanceWrapper[] {
    const config = this.#config;
    if (!config) return [];
    return [
      ...config.getGlobalRequestGuards(),
      ...config.getGlobalRequestInterceptors(),
      ...config.getGlobalRequestPipes(),
      ...config.getGlobalRequestFilters(),
    ];
  }

  enhance(instance: HandlerInstance, { moduleKey, contextId, inquirerId }: EnhancedPlace): Enhanced {
    const callback = instance.handle as (...args: unknown[]) => unknown;
    const place = [instance, callback, moduleKey, contextId, inquirerId] as const;
    return {
      instance,
      callback,
      guards: this.#guards.create(...place),
      interceptors: this.#interceptors.create(...place),
      pipes: this.#pipes.create(...place),
      filters: this.#filters.filtersOf(...place),
    };
  }
}
