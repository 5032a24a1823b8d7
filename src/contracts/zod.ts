import type { Schema, SchemaIssue, SchemaResult } from './schema.js';

/** The part of a zod schema that asks nothing twice. */
interface ZodSchema<T> extends Schema<unknown, T> {
  safeParseAsync(
    value: unknown,
  ): Promise<{ success: true; data: T } | { success: false; error: { issues: readonly SchemaIssue[] } }>;
}

/** Whether a schema that was asked before is to be asked by zod's own way to wait for it. */
const asynchronous = new WeakMap<Schema, boolean>();

/**
 * Asks a schema about a value. Zod tries every schema without waiting first, drops the promise on which that fails, and begins
 * again: an asynchronous function would be called twice, and one that rejects would end the process with an unhandled rejection
 * (`standardProps` of zod 4). A schema that is asynchronous is therefore asked by `safeParseAsync`.
 */
export function ask<T>(
  schema: Schema<unknown, T>,
  value: unknown,
): SchemaResult<T> | Promise<SchemaResult<T>> {
  let isAsync = asynchronous.get(schema);
  if (isAsync === undefined) {
    isAsync = isZod(schema) && isAsynchronous(schema, new Set());
    asynchronous.set(schema, isAsync);
  }
  if (isAsync && isZod(schema)) return waitFor(schema, value);
  const result = schema['~standard'].validate(value);
  // Nothing of it had shown that it would: a function may return a promise without being written as `async`.
  if ('then' in result && isZod(schema)) asynchronous.set(schema, true);
  return result;
}

async function waitFor<T>(schema: ZodSchema<T>, value: unknown): Promise<SchemaResult<T>> {
  const result = await schema.safeParseAsync(value);
  return result.success ? { value: result.data } : { issues: result.error.issues };
}

function isZod<T>(schema: Schema<unknown, T>): schema is ZodSchema<T> {
  return (
    schema['~standard'].vendor === 'zod' &&
    typeof (schema as Partial<ZodSchema<T>>).safeParseAsync === 'function'
  );
}

/** True when a function somewhere in the definition of a zod schema is written as `async`. */
function isAsynchronous(part: unknown, seen: Set<unknown>): boolean {
  if (typeof part === 'function') return Object.prototype.toString.call(part) === '[object AsyncFunction]';
  if (typeof part !== 'object' || part === null || seen.has(part)) return false;
  seen.add(part);
  const { _zod: inner } = part as { readonly _zod?: { readonly def?: object; readonly check?: unknown } };
  if (inner) return isAsynchronous(inner.check, seen) || isAsynchronous(inner.def, seen);
  const { type, getter } = part as { readonly type?: unknown; readonly getter?: unknown };
  if (type === 'lazy' && typeof getter === 'function')
    return isAsynchronous((getter as () => unknown)(), seen);
  const prototype: unknown = Object.getPrototypeOf(part);
  const isPlain = Array.isArray(part) || prototype === Object.prototype || prototype === null;
  return isPlain && Object.values(part).some((it) => isAsynchronous(it, seen));
}
