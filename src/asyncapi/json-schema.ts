import type { Schema } from '../contracts/body/schema.js';

/** JSON data: a result of `JSON.parse`. */
type Json = Record<string, unknown>;

/** A schema that converts itself to JSON Schema: https://standardschema.dev/json-schema */
interface SelfDescribing {
  readonly '~standard': {
    readonly vendor: string;
    readonly jsonSchema?: { readonly input?: (options: { readonly target: 'draft-07' }) => unknown };
  };
  readonly toJSONSchema?: (options: object) => unknown;
}

/** What zod passes to an `override` about the part that it has just converted. */
interface ConvertedPart {
  readonly zodSchema: { readonly _zod: { readonly def: { readonly type: string } } };
  readonly jsonSchema: Json;
}

/**
 * The schema's input as JSON Schema draft-07, or undefined when it cannot be converted. Never throws: if a converter throws,
 * the next one is tried.
 *
 * @param convert - the user's own converter
 */
export function toDraft07(schema: Schema, convert?: (schema: unknown) => unknown): Json | undefined {
  const self = schema as SelfDescribing;
  const isZod = self['~standard'].vendor === 'zod';
  const converters = [
    () => self['~standard'].jsonSchema?.input?.({ target: 'draft-07' }),
    () => (isZod ? self.toJSONSchema?.({ io: 'input', target: 'draft-7' }) : undefined),
    () => convert?.(schema),
    // Zod refuses a whole schema for one part that JSON Schema cannot express: it is better to leave that part open.
    () => (isZod ? orNothing(self.toJSONSchema?.(LENIENT)) : undefined),
  ];
  for (const converter of converters) {
    const converted = plain(converter);
    if (converted !== undefined) return withStableDefaults(converted, () => plain(converter));
  }
  return undefined;
}

/** The kinds of zod schema that JSON Schema cannot express. */
const INEXPRESSIBLE = new Set(
  'bigint custom date function map nan promise set symbol transform undefined void'.split(' '),
);

/** Marks what JSON Schema cannot express. */
const UNKNOWN = 'x-leveret-schema';

const LENIENT = {
  io: 'input',
  target: 'draft-7',
  unrepresentable: 'any',
  override: ({ zodSchema, jsonSchema }: ConvertedPart) => {
    if (INEXPRESSIBLE.has(zodSchema._zod.def.type)) jsonSchema[UNKNOWN] = 'unknown';
  },
};

/** Undefined for a schema that is nothing but a part which JSON Schema cannot express. */
function orNothing(converted: unknown): unknown {
  const { $schema: _draft, ...rest } = converted as Json;
  return Object.keys(rest).join() === UNKNOWN ? undefined : converted;
}

/** The converter's result as a copy; undefined when it is not a JSON object. */
function plain(converter: () => unknown): Json | undefined {
  try {
    const text = JSON.stringify(converter()) as string | undefined;
    const value: unknown = text === undefined ? undefined : JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Drops defaults that a function creates anew each time, such as an id or the time of day: they are not part of the contract,
 * and would make every document different. They are found by converting a second time, a millisecond later.
 */
function withStableDefaults(first: Json, again: () => Json | undefined): Json {
  if (!JSON.stringify(first).includes('"default":')) return first;
  passOneMillisecond();
  const second = again();
  return second ? (keepEqualDefaults(first, second) as Json) : first;
}

/** Bounded, because a test may have stopped the clock: then the defaults that it creates are equal as well. */
function passOneMillisecond(): void {
  const start = Date.now();
  for (let turns = 0; turns < 1_000_000 && Date.now() === start; turns++);
}

function keepEqualDefaults(first: unknown, second: unknown): unknown {
  if (Array.isArray(first)) {
    const others: readonly unknown[] = Array.isArray(second) ? second : [];
    return first.map((value, index) => keepEqualDefaults(value, others[index]));
  }
  if (!isRecord(first) || !isRecord(second)) return first;
  const kept = Object.entries(first).filter(
    ([key, value]) => key !== 'default' || JSON.stringify(value) === JSON.stringify(second[key]),
  );
  return Object.fromEntries(kept.map(([key, value]) => [key, keepEqualDefaults(value, second[key])]));
}

/** Keywords whose value is data, not a schema. */
const DATA = new Set(['const', 'default', 'enum', 'examples']);

/**
 * Moves a schema to a place within a document: references to the schema's own root become references to the document's, and
 * keywords for the root alone are dropped.
 *
 * @param pointer - where the schema stands, such as `#/channels/emails/messages/emails/payload`
 */
export function movedTo(pointer: string, schema: Json): Json {
  const { $schema: _draft, $id: _id, ...rest } = withoutRootReference(schema);
  return moved(pointer, rest) as Json;
}

/**
 * A named schema is only a reference: `{ $ref: '#/definitions/Mail', definitions: { Mail: … } }`. At its new place, that
 * would refer to itself.
 */
function withoutRootReference(schema: Json): Json {
  const [, group = '', name = ''] = /^#\/(definitions|\$defs)\/([^/]+)$/.exec(String(schema.$ref)) ?? [];
  const definitions = schema[group];
  if (!isRecord(definitions)) return schema;
  const target = definitions[decodeURIComponent(name).replaceAll('~1', '/').replaceAll('~0', '~')];
  if (!isRecord(target)) return schema;
  const { $ref: _reference, [group]: _definitions, ...rest } = schema;
  const isUsed = JSON.stringify(definitions).includes('"$ref"');
  return { ...rest, ...target, ...(isUsed ? { [group]: definitions } : undefined) };
}

function moved(pointer: string, part: unknown): unknown {
  if (Array.isArray(part)) return part.map((it) => moved(pointer, it));
  if (!isRecord(part)) return part;
  return Object.fromEntries(
    Object.entries(part).map(([key, value]) => {
      if (key === '$ref' && typeof value === 'string' && /^#(?:\/|$)/.test(value)) {
        return [key, pointer + value.slice(1)];
      }
      return [key, DATA.has(key) && !isRecord(value) ? value : moved(pointer, value)];
    }),
  );
}

function isRecord(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
