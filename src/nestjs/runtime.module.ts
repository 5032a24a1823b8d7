import { Global, Inject, Module } from '@nestjs/common';
import { ApplicationConfig, ModulesContainer } from '@nestjs/core';
import { LeveretHandlersModule } from './handlers.module.js';
import { LeveretHealthIndicator } from './health.js';
import { LeveretRuntime } from './runtime.js';

/** Shared by all brokers of an application. Global, so that Nest calls its hooks before those of most modules at the start. */
export class LeveretRuntimeModule {}

Inject(LeveretRuntime)(LeveretHandlersModule, undefined, 0);
Inject(ModulesContainer)(LeveretHandlersModule, undefined, 1);
Module({})(LeveretHandlersModule);

Global()(LeveretRuntimeModule);
Module({
  imports: [LeveretHandlersModule],
  providers: [
    {
      provide: LeveretRuntime,
      useFactory: (modules: ModulesContainer, config: ApplicationConfig) =>
        new LeveretRuntime(modules, config),
      inject: [ModulesContainer, ApplicationConfig],
    },
    {
      provide: LeveretHealthIndicator,
      useFactory: (runtime: LeveretRuntime) => new LeveretHealthIndicator(runtime),
      inject: [LeveretRuntime],
    },
  ],
  exports: [LeveretRuntime, LeveretHealthIndicator],
})(LeveretRuntimeModule);
