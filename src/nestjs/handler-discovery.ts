import type { ModulesContainer } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import type { Module } from '@nestjs/core/injector/module.js';
import { ConfigurationError } from '../index.js';
import { definitionOf, type HandlerDefinition } from './decorators.js';

/** A class with a decorator of ours, and the module that provides it. */
export interface FoundHandler {
  readonly className: string;
  readonly definition: HandlerDefinition;
  readonly module: Module;
  readonly wrapper: InstanceWrapper;
}

/**
 * Removes classes with our decorators from the controllers, where they do not belong: Nest would look for routes in them, and
 * report that first.
 */
export function removeFromControllers(modules: ModulesContainer): ConfigurationError | undefined {
  const misplaced = [...modules.values()].flatMap((module) => handlersIn(module, module.controllers));
  for (const { module, wrapper } of misplaced) module.controllers.delete(wrapper.token);
  const [first] = misplaced;
  if (!first) return undefined;
  const message = `${first.className} is one of the controllers of ${first.module.name}: it belongs to its providers`;
  return new ConfigurationError('controllers', message);
}

/**
 * Searches all modules for classes with a decorator of ours. A provider that was overridden by a value has none.
 *
 * @throws ConfigurationError for a class that two modules provide, or whose broker does not exist
 */
export function findHandlers(modules: ModulesContainer, brokers: readonly string[]): FoundHandler[] {
  const found = [...modules.values()].flatMap((module) => handlersIn(module, module.providers));
  const first = new Map<unknown, FoundHandler>();
  for (const handler of found) {
    const { className, definition, module } = handler;
    const other = first.get(handler.wrapper.metatype);
    if (other) {
      const where =
        other.module === module ? `twice in ${module.name}` : `in ${other.module.name} and in ${module.name}`;
      throw new ConfigurationError(
        'providers',
        `${className} is provided ${where}, and would consume twice: provide it in one module, and export it from there`,
      );
    }
    if (!brokers.includes(definition.broker)) {
      throw new ConfigurationError(
        'broker',
        `${className}: there is no broker '${definition.broker}'. Known brokers: ${brokers.join(', ')}`,
      );
    }
    first.set(handler.wrapper.metatype, handler);
  }
  return found;
}

function handlersIn(module: Module, wrappers: Module['providers']): FoundHandler[] {
  return [...wrappers.values()].flatMap((wrapper) => {
    // The result of a factory or an alias belongs to another provider, or to the application itself.
    if (!wrapper.metatype || wrapper.isNotMetatype) return [];
    const definition = definitionOf(wrapper.metatype);
    return definition ? [{ className: wrapper.metatype.name, definition, module, wrapper }] : [];
  });
}
