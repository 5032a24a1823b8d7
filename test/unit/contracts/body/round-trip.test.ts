import { isDeepStrictEqual } from 'node:util';
import { type } from 'arktype';
import fc from 'fast-check';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type BodyContract, decodeBody, encodeBody } from '../../../../src/contracts/body/body.js';
import type { Schema } from '../../../../src/contracts/body/schema.js';
import type { Validation } from '../../../../src/contracts/body/validate.js';
import { ValidationError } from '../../../../src/errors.js';

const MAX_BYTES = 10_000_000;

/** What a producer sends, or undefined when it refuses the body. */
async function sent(contract: BodyContract, body: unknown): Promise<Buffer | undefined> {
  try {
    const encoded = encodeBody(contract, 'the queue', body, MAX_BYTES);
    return Buffer.isBuffer(encoded) ? encoded : await encoded.content;
  } catch (error) {
    expect(error).toBeInstanceOf(ValidationError);
    return undefined;
  }
}

/** True when it was accepted; then the consumer has accepted it too, and got what the schema makes of the body's JSON. */
async function travels(schema: Schema, body: unknown): Promise<boolean> {
  const content = await sent({ schema, codec: 'json' }, body);
  if (!content) return false;
  const came = await decodeBody({ schema, codec: 'json' }, content, { contentType: 'application/json' });
  const asJson: unknown = JSON.parse(JSON.stringify(body));
  const expected = (await schema['~standard'].validate(asJson)) as { value: unknown };
  // Not Vitest's comparison, which trips over keys that are called `constructor`.
  const isSame = isDeepStrictEqual(came, { ok: true, value: expected.value } satisfies Validation<unknown>);
  expect(isSame, `${String(content)} is the same for both`).toBe(true);
  return true;
}

class Money {
  readonly amount = 1;
}
class List extends Array<unknown> {}

const surrogates = fc.array(fc.integer({ min: 0xd7f0, max: 0xe00f }), { maxLength: 4 });
const oddKey = fc.constantFrom('__proto__', 'constructor', 'prototype', 'toJSON', 'a', 'id', '');

/** Bodies that should never be sent, and will be. */
const odd = fc.oneof(
  fc.constantFrom<unknown>(
    Number.NaN,
    Number.POSITIVE_INFINITY,
    -0,
    undefined,
    2n ** 70n,
    Symbol('s'),
    () => 1,
    new Date(0),
    new Date(Number.NaN),
    new Map([['a', 1]]),
    new Set([1]),
    /a/,
    new Error('e'),
    new Money(),
    List.from([1]),
    new Array(3),
    new Uint8Array(3),
    Buffer.from('abc'),
    Object(5),
    Object('text'),
    // biome-ignore lint/suspicious/noSparseArray: that is the point
    [1, , 2],
    Object.assign([1], { extra: 2 }),
    Object.assign([1], { toJSON: () => 'list' }),
    { toJSON: () => ({ a: 1 }) },
    { toJSON: () => undefined },
    { toJSON: () => JSON.parse('{"__proto__": 1}') as unknown },
    { toJSON: 5 },
    Object.defineProperty({}, 'id', { value: 'hidden' }),
    Object.create({ inherited: 1 }),
    Object.assign(Object.create(null), { a: 1 }),
    { [Symbol('s')]: 1 },
    {
      get a() {
        return 'got';
      },
    },
  ),
  surrogates.map((units) => String.fromCharCode(...units)),
  fc.string({ unit: 'binary', maxLength: 5 }),
  fc.double(),
);

const { body } = fc.letrec((tie) => ({
  body: fc.oneof(
    { weight: 4, arbitrary: odd },
    {
      weight: 1,
      arbitrary: fc.anything({ withDate: true, withNullPrototype: true, withTypedArray: true, maxDepth: 1 }),
    },
    { weight: 3, arbitrary: fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown> },
    { weight: 3, arbitrary: fc.array(tie('body'), { maxLength: 3 }) },
    {
      weight: 3,
      // As entries, since only so `__proto__` becomes a key.
      arbitrary: fc
        .array(fc.tuple(oddKey, tie('body')), { maxLength: 3 })
        .map((it) => Object.fromEntries(it)),
    },
  ),
}));

const tree: z.ZodType = z.lazy(() =>
  z.union([z.string(), z.number(), z.null(), z.array(tree), z.record(z.string(), tree)]),
);

/** Schemas that look at a body in as many ways as there are. */
const schemas: [string, Schema][] = [
  ['anything', z.any()],
  ['unknown', z.unknown()],
  ['anything within an object', z.looseObject({ a: z.any() })],
  ['known keys only', z.strictObject({ a: z.any(), id: z.any().optional() })],
  ['a record', z.record(z.string(), z.unknown())],
  ['a list', z.array(z.any())],
  ['a tuple', z.tuple([z.any(), z.any().optional()])],
  ['JSON', z.json()],
  ['a tree', tree],
  ['a number', z.number()],
  ['any number', z.number().or(z.nan()).or(z.literal(Infinity))],
  ['a text', z.string()],
  ['an optional key', z.object({ id: z.string().optional(), a: z.number().nullish() })],
  ['a default', z.object({ a: z.any().default(7), id: z.string().default('new') })],
  ['a transform', z.object({ a: z.string().transform((it) => it.length) })],
  ['a number made of anything', z.object({ a: z.coerce.number() })],
  ['a date made of anything', z.coerce.date()],
  ['a text made of anything', z.coerce.string()],
  ['a truth made of anything', z.coerce.boolean()],
  ['a date', z.date()],
  ['a map', z.map(z.any(), z.any())],
  ['a set', z.set(z.any())],
  ['a union', z.union([z.date(), z.string(), z.object({ a: z.any() })])],
  ['one that has a key', z.custom((it) => typeof it === 'object' && it !== null && 'a' in it)],
  ['one of some class', z.custom((it) => it instanceof Object && it.constructor !== Object)],
  ['a list of some class', z.custom((it) => it instanceof List)],
  ['a date or a long text', z.object({ a: z.union([z.date(), z.string().min(25)]) })],
  ['nothing under a key', z.object({ a: z.undefined() })],
  ['a negative zero', z.custom((it) => Object.is(it, -0))],
  ['one that never fits', z.never()],
  ['an async one', z.any().refine(async (it) => Promise.resolve(it !== null))],
  ['an object, for valibot', v.object({ a: v.unknown() })],
  ['a text or a date, for valibot', v.union([v.string(), v.date()])],
  ['an object, for arktype', type({ a: 'unknown' }) as Schema],
  ['a number, for arktype', type('number') as Schema],
];

describe('what a producer accepts, a consumer of the same contract accepts', () => {
  it.each(schemas)('and gets what was meant: %s', async (_, schema) => {
    expect.hasAssertions();

    await fc.assert(
      fc.asyncProperty(body, async (it) => {
        await travels(schema, it);
      }),
      { numRuns: 200 },
    );
  });

  it('for plain JSON without any change, whatever it is', async () => {
    let accepted = 0;
    const property = fc.asyncProperty(fc.json({ maxDepth: 4, noUnicodeString: false }), async (text) => {
      const plain: unknown = JSON.parse(text.replaceAll('-0', '0'));
      const content = await sent({ schema: z.any(), codec: 'json' }, plain);
      if (!content) return;
      accepted++;
      const came = await decodeBody({ schema: z.any(), codec: 'json' }, content, {});
      expect(isDeepStrictEqual(came, { ok: true, value: plain })).toBe(true);
    });
    await fc.assert(property, { numRuns: 500 });

    expect(accepted).toBeGreaterThan(400);
  });

  it('as text and as bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), (text, bytes) => {
        const notes: BodyContract = { schema: z.string(), codec: 'text' };
        const blobs: BodyContract = { schema: z.instanceof(Uint8Array), codec: 'bytes' };
        const sent = (encodeBody(blobs, 'q', bytes, MAX_BYTES) as Buffer).toString('hex');
        const got = decodeBody(blobs, Buffer.from(sent, 'hex'), {});
        expect(got).toEqual({ ok: true, value: Buffer.from(bytes) });
        let content: Buffer;
        try {
          content = encodeBody(notes, 'q', text, MAX_BYTES) as Buffer;
        } catch {
          expect((text as string & { isWellFormed(): boolean }).isWellFormed()).toBe(false);
          return;
        }
        expect(decodeBody(notes, content, { contentType: 'text/plain' })).toEqual({ ok: true, value: text });
      }),
    );
  });

  it('up to a depth that both can walk', async () => {
    const nest = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth)) as unknown;
    const answers = await Promise.all([1, 100, 1_000, 100_000].map((depth) => travels(z.any(), nest(depth))));

    expect(answers).toEqual([true, true, true, false]);
  });
});
