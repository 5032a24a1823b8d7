import type { OnApplicationBootstrap, OnModuleDestroy } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import type { LeveretRuntime } from './runtime.js';

/** Nest sorts modules by distance; this one sorts before the root. */
const BEFORE_THE_ROOT = -1;

/**
 * Starts the handlers after everything else, and stops them before anything else.
 *
 * Nest calls the hooks of modules by their distance from the root module: at the start the farthest first and the root last,
 * at the end the other way round. Consumers in an ordinary or global module would outlive the providers that their handlers
 * use. This module is nearer than the root. The distance is read when the first hook is called, after all modules are
 * created.
 */
export class LeveretHandlersModule implements OnApplicationBootstrap, OnModuleDestroy {
  readonly #runtime: LeveretRuntime;

  constructor(runtime: LeveretRuntime, modules: ModulesContainer) {
    this.#runtime = runtime;
    for (const module of modules.values()) {
      if (module.metatype === LeveretHandlersModule) module.distance = BEFORE_THE_ROOT;
    }
  }

  onApplicationBootstrap(): Promise<void> {
    return this.#runtime.consume();
  }

  onModuleDestroy(): Promise<void> {
    return this.#runtime.drain();
  }
}
