import type { Schema, SchemaIssue, SchemaResult } from './schema.js';

/** The part of a zod schema that validates without calling a function twice. */
interface ZodSchema<T> extends Schema<unknown, T> {
  safeParseAsync(
    value: unknown,
  ): Promise<{ success: true; data: T } | { success: false; error: { issues: readonly SchemaIssue[] } }>;
}

/** The part of a zod 4 schema that runs it once, and returns a promise only if one of its functions does. */
interface Runnable {
  readonly _zod: { run(payload: Payload, context: { readonly async: true }): Payload | Promise<Payload> };
}

interface Payload {
  readonly value: unknown;
  readonly issues: readonly unknown[];
}

/** How a schema is called: all of its functions are synchronous; one of them may be asynchronous; or one was. */
type Manner = 'at once' | 'unknown' | 'later';

const manners = new WeakMap<Schema, Manner>();

/**
 * Validates a value with a zod schema. Zod tries every schema synchronously first. If that fails on a promise, zod drops the
 * promise and starts again: an asynchronous function would be called twice, and one that rejects would end the process with
 * an unhandled rejection (`standardProps` of zod 4, `~validate` of zod 3). A schema with user functions is therefore never
 * called that way.
 */
export function ask<T>(
  schema: Schema<unknown, T>,
  value: unknown,
): SchemaResult<T> | Promise<SchemaResult<T>> {
  if (!isZod(schema)) return schema['~standard'].validate(value);
  let manner = manners.get(schema);
  if (manner === undefined) {
    manner = !mayWait(schema) ? 'at once' : isRunnable(schema) ? 'unknown' : 'later';
    manners.set(schema, manner);
  }
  if (manner === 'later') return waitFor(schema, value);
  return manner === 'unknown' && isRunnable(schema)
    ? runOnce(schema, value)
    : schema['~standard'].validate(value);
}

function runOnce<T>(
  schema: ZodSchema<T> & Runnable,
  value: unknown,
): SchemaResult<T> | Promise<SchemaResult<T>> {
  const result = schema._zod.run({ value, issues: [] }, { async: true });
  if (!(result instanceof Promise)) {
    // Its functions are synchronous, so calling the schema again is safe, and yields the texts of the issues.
    return result.issues.length === 0 ? { value: result.value as T } : schema['~standard'].validate(value);
  }
  manners.set(schema, 'later');
  return result.then((payload) =>
    payload.issues.length === 0 ? { value: payload.value as T } : waitFor(schema, value),
  );
}

function isRunnable<T>(schema: ZodSchema<T>): schema is ZodSchema<T> & Runnable {
  return typeof (schema as Partial<Runnable>)._zod?.run === 'function';
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
 * The most parts of a schema that are inspected. Lazy parts are created on access, so they may be new each time and have no
 * end.
 */
const MAX_PARTS = 5_000;

/**
 * True when a zod schema runs a user function, which may return a promise whether or not it is written as `async` (memoized,
 * bound, compiled for ES2016), or when the schema is too large to tell. Never throws.
 */
function mayWait(schema: object): boolean {
  // Grows during the walk.
  const parts = new Set<unknown>([schema]);
  for (const part of parts) {
    if (parts.size > MAX_PARTS) return true;
    try {
      if (runsUserFunction(part)) return true;
      for (const inner of within(part)) if (Object(inner) === inner) parts.add(inner);
    } catch {
      // A part that throws here, such as a lazy part that is not defined yet, need not throw when a body is validated.
    }
  }
  return false;
}

/** True for a definition of zod 4 (refine, check, transform, codec) or zod 3 (an effect) that holds a user function. */
function runsUserFunction(part: unknown): boolean {
  if (typeof part === 'function') return Object.prototype.toString.call(part) === '[object AsyncFunction]';
  const { check, type, transform, reverseTransform, effect } = part as Definition;
  if (effect !== undefined || check === 'custom') return true;
  return (
    (type === 'transform' && transform !== undefined) || (type === 'pipe' && reverseTransform !== undefined)
  );
}

/** The parts of a schema, a check or a definition. */
function within(part: unknown): readonly unknown[] {
  const { _zod: inner, _def: def3, type, typeName, getter, shape } = part as Definition;
  if (inner) return [inner.check, inner.def];
  if (def3) return [def3];
  if (typeof getter === 'function' && (type === 'lazy' || typeName === 'ZodLazy')) return [getter()];
  if (typeof shape === 'function') return [shape()];
  const prototype: unknown = Object.getPrototypeOf(part);
  if (!Array.isArray(part) && prototype !== Object.prototype && prototype !== null) return [];
  // A default is a value, and the function that creates it may count its calls.
  return Object.keys(part as object).flatMap((key) =>
    key === 'defaultValue' ? [] : [(part as Readonly<Record<string, unknown>>)[key]],
  );
}

/** The property in which zod 4 (`_zod`) or zod 3 (`_def`) keeps its definition, or what both keep inside it. */
interface Definition {
  readonly _zod?: { readonly def?: unknown; readonly check?: unknown };
  readonly _def?: unknown;
  readonly type?: unknown;
  readonly typeName?: unknown;
  readonly getter?: () => unknown;
  readonly shape?: unknown;
  readonly check?: unknown;
  readonly transform?: unknown;
  readonly reverseTransform?: unknown;
  readonly effect?: { readonly type?: unknown };
}
