import type { OnApplicationBootstrap, OnModuleDestroy } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import type { LeveretRuntime } from './runtime.js';

/** Farther from the root than any other module is near to it. */
const BEFORE_THE_ROOT = -1;

/**
 * Starts the handlers after everything else, and stops them before anything else.
 *
 * Nest calls the hooks of modules by their distance from the root module: at the start the farthest first and the root last,
 * at the end the other way round. So the consumers of an ordinary module, or a global one, would outlive what their handlers
 * use. This one is nearer than the root. The distance is read when the first hook is called, after all modules are made.
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
