import { types } from 'node:util';

/** The rules of JSON that the type checker and the run time must agree on. */

/** How a body is encoded: as JSON, as plain UTF-8 text, or as the bytes themselves. */
export type CodecName = 'json' | 'text' | 'bytes';

/**
 * A type that `T` satisfies when JSON can carry it; `never` stands wherever JSON cannot. `unknown` and `any` pass: their
 * values are checked when they are sent.
 */
export type JsonOf<T> = 0 extends 1 & T
  ? T
  : unknown extends T
    ? T
    : T extends string | number | boolean | null | undefined
      ? T
      : T extends bigint | symbol | NotJson
        ? never
        : T extends readonly unknown[]
          ? // Not mapped as an array: TypeScript would do that at once, and never end where a type contains arrays of itself.
            { readonly [N in number]: JsonOf<T[number]> }
          : { [K in keyof T]: K extends symbol ? T[K] : JsonOf<T[K]> };

/** Objects that JSON loses or changes. A `Date` becomes a string, a `Map` becomes `{}`. */
type NotJson =
  | ((...args: never[]) => unknown)
  | (abstract new (
      ...args: never[]
    ) => unknown)
  | Date
  | RegExp
  | Error
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | WeakMap<object, unknown>
  | WeakSet<object>
  | Promise<unknown>
  | ArrayBuffer
  | ArrayBufferView;

/** True when the codec can carry values of type `T`. */
type Travels<T, C extends CodecName> = 0 extends 1 & T
  ? true
  : unknown extends T
    ? true
    : C extends 'text'
      ? [T] extends [string]
        ? true
        : false
      : C extends 'bytes'
        ? [T] extends [Uint8Array]
          ? true
          : false
        : undefined extends T
          ? false
          : [T] extends [JsonOf<T>]
            ? true
            : false;

/**
 * The compile-time check of a contract's schema: `unknown`, which every schema satisfies, or a type that none satisfies and
 * whose properties say why. A schema that is still a type parameter, as in a user's own generic function, passes: its caller
 * is checked.
 */
export type Travelling<T, C extends CodecName> = [Unfit<T, Given<C>>] extends [never]
  ? unknown
  : { readonly [K in Complaint<T, Given<C>>]: never };

/** For `codec: undefined` TypeScript infers every codec. It means the default. */
type Given<C extends CodecName> = [CodecName] extends [C] ? 'json' : C;

/**
 * `never` for what the codec can carry, `any` for what it cannot. While `T` is a type parameter, TypeScript takes the branch
 * that is not `any` as the constraint of the whole, and so lets a deferred check pass. With any other type in its place it
 * would refuse the schema.
 */
type Unfit<T, C extends CodecName> = Travels<T, C> extends true ? never : Anything;

/** `any`, by a name that says why it is here. */
type Anything = ReturnType<typeof JSON.parse>;

type Complaint<T, C extends CodecName> = C extends 'text'
  ? "the input of a schema with the codec 'text' must be a string"
  : C extends 'bytes'
    ? "the input of a schema with the codec 'bytes' must be a Uint8Array"
    : undefined extends T
      ? "the schema's input may be undefined, which is not JSON: for no value use z.null(), for an optional one z.nullable()"
      : Remedy<Offence<T>>;

/** The advice for the kind of value that was found. */
type Remedy<Found extends string> = [Found] extends [never]
  ? Remedies['other']
  : Found extends keyof Remedies
    ? Remedies[Found]
    : never;

interface Remedies {
  readonly Date: "the schema's input has a Date, which is not JSON: use z.iso.datetime(), or z.coerce.date()";
  readonly bigint: "the schema's input has a bigint, which is not JSON: use z.string(), or z.coerce.bigint()";
  readonly collection: "the schema's input has a Map or a Set, which JSON empties: use z.record() or z.array()";
  readonly bytes: "the schema's input has bytes, which are not JSON: use the codec 'bytes' for the whole body, or z.base64()";
  readonly function: "the schema's input has a function or a symbol, which JSON leaves out";
  readonly other: "the schema's input is not JSON: no Date, bigint, Map, Set, function or bytes (for dates use z.iso.datetime(), for bytes the codec 'bytes')";
}

/** The kinds of value that JSON cannot carry, up to four levels deep, because recursive types have no end. */
type Offence<T, Depth extends readonly unknown[] = []> = 0 extends 1 & T
  ? never
  : unknown extends T
    ? never
    : T extends string | number | boolean | null | undefined
      ? never
      : T extends Date
        ? 'Date'
        : T extends bigint
          ? 'bigint'
          : T extends ReadonlyMap<unknown, unknown> | ReadonlySet<unknown>
            ? 'collection'
            : T extends ArrayBuffer | ArrayBufferView
              ? 'bytes'
              : T extends symbol | ((...args: never[]) => unknown)
                ? 'function'
                : T extends NotJson
                  ? 'other'
                  : Depth['length'] extends 4
                    ? never
                    : T extends readonly (infer Item)[]
                      ? Offence<Item, [...Depth, 0]>
                      : { [K in keyof T]-?: Offence<T[K], [...Depth, 0]> }[keyof T];

/**
 * True when `JSON.parse(JSON.stringify(value))` is the same value again: only plain objects and arrays, finite numbers,
 * strings, booleans and null. Throws a RangeError on a structure that is too deep or circular.
 */
export function isPlainJson(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0);
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) {
      if (!isPlainJson(value[index])) return false;
    }
    const isPlain = Object.getPrototypeOf(value) === Array.prototype && !('toJSON' in value);
    return isPlain && Object.keys(value).length === value.length;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if ((prototype !== Object.prototype && prototype !== null) || 'toJSON' in value) return false;
  let keys = 0;
  for (const key in value) {
    if (!isPlainJson((value as Record<string, unknown>)[key])) return false;
    keys++;
  }
  // A schema sees a property that is not enumerable; JSON does not.
  return Object.getOwnPropertyNames(value).length === keys;
}

/**
 * The path of a key that could reach an object's prototype if careless code copies the body: `__proto__`, or `prototype`
 * inside `constructor`. Undefined when there is none.
 */
export function findPollution(
  value: unknown,
  path: readonly (string | number)[] = [],
): (string | number)[] | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const key of Object.keys(value)) {
    const at = [...path, Array.isArray(value) ? Number(key) : key];
    if (key === '__proto__') return at;
    const child = (value as Record<string, unknown>)[key];
    if (
      key === 'constructor' &&
      typeof child === 'object' &&
      child !== null &&
      Object.hasOwn(child, 'prototype')
    ) {
      return [...at, 'prototype'];
    }
    const found = findPollution(child, at);
    if (found) return found;
  }
  return undefined;
}

/**
 * The first object within a value that `JSON.stringify` would write without its contents, and its path: a `Map` becomes `{}`,
 * an error loses its message. Undefined when there is none. Only for values that JSON can encode, which are neither circular
 * nor too deep.
 */
export function findEmptied(
  value: unknown,
  path: readonly (string | number)[] = [],
): { readonly value: object; readonly path: (string | number)[] } | undefined {
  // An object with a `toJSON` defines its own encoding.
  if (typeof value !== 'object' || value === null || 'toJSON' in value) return undefined;
  if (isEmptied(value)) return { value, path: [...path] };
  const keys = Array.isArray(value) ? value.keys() : Object.keys(value);
  for (const key of keys) {
    const found = findEmptied((value as Record<string | number, unknown>)[key], [...path, key]);
    if (found) return found;
  }
  return undefined;
}

function isEmptied(value: object): boolean {
  if (Array.isArray(value) || types.isBoxedPrimitive(value)) return false;
  // Its bytes would become an object with a key for each byte.
  if (value instanceof Error || types.isNativeError(value) || ArrayBuffer.isView(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  // Private state of a class, as in all built-in ones.
  return types.isMap(value) || types.isSet(value) || (!isPlain && Object.keys(value).length === 0);
}
