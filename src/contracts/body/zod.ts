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
 * (`standardProps` of zod 4, `~validate` of zod 3). A schema that is or may be asynchronous is therefore asked by `safeParseAsync`.
 */
export function ask<T>(
  schema: Schema<unknown, T>,
  value: unknown,
): SchemaResult<T> | Promise<SchemaResult<T>> {
  let isAsync = asynchronous.get(schema);
  if (isAsync === undefined) {
    isAsync = isZod(schema) && mayWait(schema);
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

/**
 * The most parts of a schema that are looked at. Its lazy parts are made when they are asked for, and so may be new each time and
 * have no end.
 */
const MAX_PARTS = 5_000;

/** True when a function somewhere in the definition of a zod schema is written as `async`, or can not be seen. Never throws. */
function mayWait(schema: object): boolean {
  // Grows while it is walked through.
  const parts = new Set<unknown>([schema]);
  for (const part of parts) {
    if (parts.size > MAX_PARTS) return false;
    try {
      if (isAsyncFunction(part) || isHidden(part)) return true;
      for (const inner of within(part)) if (Object(inner) === inner) parts.add(inner);
    } catch {
      // What throws here, such as a lazy part that is not there yet, need not throw when a body is looked at.
    }
  }
  return false;
}

function isAsyncFunction(part: unknown): boolean {
  return typeof part === 'function' && Object.prototype.toString.call(part) === '[object AsyncFunction]';
}

/** True for a definition which holds the function of a user within one of zod: it shows nothing of that. */
function isHidden(part: unknown): boolean {
  const { check, fn, type, reverseTransform, effect } = part as Definition;
  if (effect !== undefined) return effect.type === 'refinement';
  return (check === 'custom' && fn === undefined) || (type === 'pipe' && reverseTransform !== undefined);
}

/** What a schema, a check or a definition is made of. */
function within(part: unknown): readonly unknown[] {
  const { _zod: inner, _def: def3, type, typeName, getter, shape } = part as Definition;
  if (inner) return [inner.check, inner.def];
  if (def3) return [def3];
  if (typeof getter === 'function' && (type === 'lazy' || typeName === 'ZodLazy')) return [getter()];
  if (typeof shape === 'function') return [shape()];
  const prototype: unknown = Object.getPrototypeOf(part);
  if (!Array.isArray(part) && prototype !== Object.prototype && prototype !== null) return [];
  // A default is a value, and the function that makes it may count.
  return Object.keys(part as object).flatMap((key) =>
    key === 'defaultValue' ? [] : [(part as Readonly<Record<string, unknown>>)[key]],
  );
}

/** What zod 4 keeps in `_zod`, zod 3 in `_def`, and both in what those hold. */
interface Definition {
  readonly _zod?: { readonly def?: unknown; readonly check?: unknown };
  readonly _def?: unknown;
  readonly type?: unknown;
  readonly typeName?: unknown;
  readonly getter?: () => unknown;
  readonly shape?: unknown;
  readonly check?: unknown;
  readonly fn?: unknown;
  readonly reverseTransform?: unknown;
  readonly effect?: { readonly type?: unknown };
}
