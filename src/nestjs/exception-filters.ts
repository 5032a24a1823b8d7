import type { ArgumentsHost, Type } from '@nestjs/common';
import { EXCEPTION_FILTERS_METADATA } from '@nestjs/common/constants.js';
import { ExternalExceptionFilterContext } from '@nestjs/core/exceptions/external-exception-filter-context.js';
import type { ContextId } from '@nestjs/core/injector/instance-wrapper.js';

/** A Nest filter, and the error classes that it catches: an empty list means all. */
export interface ExceptionFilter {
  readonly func: (error: unknown, host: ArgumentsHost) => unknown;
  readonly exceptionMetatypes: readonly Type[];
}

/**
 * Creates the filters of a handler. Nest's own `create` hides which filter handled an error: it throws the error again if the
 * filter returned nothing.
 */
export class ExceptionFilterFactory extends ExternalExceptionFilterContext {
  /** In the order in which they are asked: last declared first, those of the method before those of the class. */
  filtersOf(
    instance: object,
    callback: (...args: unknown[]) => unknown,
    module: string,
    contextId: ContextId,
    inquirerId: string,
  ): readonly ExceptionFilter[] {
    this.moduleContext = module;
    const filters: ExceptionFilter[] = this.createContext(
      instance,
      callback,
      EXCEPTION_FILTERS_METADATA,
      contextId,
      inquirerId,
    );
    return filters.reverse();
  }
}

/** The filter that handles the error. */
export function filterFor(filters: readonly ExceptionFilter[], error: unknown): ExceptionFilter | undefined {
  return filters.find(
    ({ exceptionMetatypes: types }) => types.length === 0 || types.some((type) => error instanceof type),
  );
}
