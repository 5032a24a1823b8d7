import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type BodyContract, decodeBody, encodeBody } from '../../../src/contracts/body.js';
import { isPlainJson } from '../../../src/contracts/json.js';
import { MessageTooLargeError, ValidationError } from '../../../src/errors.js';

const MAX = 1024 * 1024;
const json = (schema: BodyContract['schema']): BodyContract => ({ schema, codec: 'json' });

const point = z.object({ x: z.number(), y: z.number().optional() });
class Special {
  readonly x = 1;
}
class List extends Array<unknown> {}

const schemas: readonly BodyContract['schema'][] = [
  z.any(),
  z.unknown(),
  z.json(),
  z.number(),
  z.coerce.number(),
  z.coerce.date(),
  z.string(),
  z.nullable(z.number()),
  point,
  z.strictObject({ x: z.any() }),
  z.looseObject({ x: z.unknown() }),
  z.record(z.string(), z.any()),
  z.record(z.string(), z.number()),
  z.array(z.any()),
  z.array(z.number().nullable()),
  z.tuple([z.any(), z.any().optional()]),
  z.union([z.date(), z.number()]),
  z.custom((value) => value instanceof Special || typeof value === 'number'),
  z.custom((value) => value instanceof List),
  z.object({ at: z.union([z.date(), z.string().min(25)]) }),
  z.object({ x: z.undefined() }),
];

const bodies = fc.oneof(
  fc.jsonValue(),
  fc.anything({ withDate: true, withNullPrototype: true, withSparseArray: true, withTypedArray: true }),
  fc.object({ key: fc.constantFrom('x', 'y', 'at', 'toJSON', 'constructor', 'prototype', '__proto__') }),
  fc.record({ x: fc.oneof(fc.double(), fc.constantFrom(-0, Number.NaN, undefined, null)) }),
  fc.record({ x: fc.date({ noInvalidDate: false }), toJSON: fc.func(fc.anything()) }, { requiredKeys: [] }),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('\ud800', { '\udc00': '\ud800' }, JSON.parse('{"a":{"__proto__":{"x":1}}}')),
  fc.constantFrom({ constructor: { prototype: {} } }, { toJSON: () => ({ constructor: { prototype: 1 } }) }),
  fc.constantFrom(new Special(), List.from([1]), new Array(3), Object.assign([1], { x: 1 }), new Date(NaN)),
  fc.integer({ min: 1, max: 500 }).map((depth) => {
    let deep: unknown = 1;
    for (let level = 0; level < depth; level++) deep = level % 2 ? { x: deep } : [deep];
    return deep;
  }),
);

describe('what a producer accepts', () => {
  it('its consumer accepts, and plain JSON arrives as it was', () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.constantFrom(...schemas), bodies, (schema, body) => {
        let content: Buffer;
        try {
          content = encodeBody(json(schema), 'the queue', body, MAX) as Buffer;
        } catch (error) {
          expect(error).toBeInstanceOf(ValidationError);
          return;
        }
        accepted++;
        expect(decodeBody(json(schema), content, 'application/json', undefined)).toMatchObject({ ok: true });
        if (isPlainJson(body)) {
          const got = decodeBody(json(z.any()), content, undefined, undefined) as { value: unknown };
          expect(got.value).toEqual(body);
        }
      }),
      { numRuns: 3_000 },
    );
    expect(accepted).toBeGreaterThan(200);
  });

  it('its consumer accepts as text and as bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uint8Array(), (text, bytes) => {
        const notes: BodyContract = { schema: z.string(), codec: 'text' };
        const blobs: BodyContract = { schema: z.instanceof(Uint8Array), codec: 'bytes' };
        const sent = (encodeBody(blobs, 'q', bytes, MAX) as Buffer).toString('hex');
        const got = decodeBody(blobs, Buffer.from(sent, 'hex'), undefined, undefined);
        expect(got).toEqual({ ok: true, value: Buffer.from(bytes) });
        let content: Buffer;
        try {
          content = encodeBody(notes, 'q', text, MAX) as Buffer;
        } catch {
          expect((text as string & { isWellFormed(): boolean }).isWellFormed()).toBe(false);
          return;
        }
        expect(decodeBody(notes, content, 'text/plain', undefined)).toEqual({ ok: true, value: text });
      }),
    );
  });

  it('is refused where the schema knows the class of bytes that do not arrive as such', () => {
    const exactly = z.custom<Uint8Array>((value) => (value as object)?.constructor === Uint8Array);
    expect(() => encodeBody({ schema: exactly, codec: 'bytes' }, 'q', Uint8Array.of(1), MAX)).toThrow(
      ValidationError,
    );
  });
});

describe('encodeBody', () => {
  it('sends the body, not what the schema makes of it', () => {
    const schema = z.object({ n: z.string().transform(Number), m: z.number().default(1) });
    const content = encodeBody(json(schema), 'q', { n: '5' }, MAX) as Buffer;
    expect(content.toString()).toBe('{"n":"5"}');
    const got = decodeBody(json(schema), content, undefined, undefined);
    expect(got).toEqual({ ok: true, value: { n: 5, m: 1 } });
  });

  it('refuses what does not fit the schema, naming target and paths', () => {
    const encode = () =>
      encodeBody(json(z.object({ a: z.object({ b: z.string() }) })), "the queue 'q'", { a: {} }, MAX);
    expect(encode).toThrow(/^Invalid body for the queue 'q': a\.b: /);
    expect(encode).toThrow(
      expect.objectContaining({
        code: 'INVALID_BODY',
        issues: [expect.objectContaining({ path: ['a', 'b'] })],
      }),
    );
  });

  it('refuses a body that changes into one which does not fit', () => {
    expect(() => encodeBody(json(z.date()), 'q', new Date(), MAX)).toThrow(/JSON can not carry this body/);
    expect(() => encodeBody(json(z.nan()), 'q', Number.NaN, MAX)).toThrow(/JSON can not carry this body/);
    expect(() => encodeBody(json(z.any()), 'q', undefined, MAX)).toThrow(ValidationError);
    expect(String(encodeBody(json(z.any()), 'q', new Date(0), MAX))).toBe('"1970-01-01T00:00:00.000Z"');
  });

  it('refuses more bytes than allowed, counted as they travel', () => {
    expect(encodeBody(json(z.string()), 'q', 'äää', 8)).toHaveLength(8);
    expect(() => encodeBody(json(z.string()), 'q', 'äää', 7)).toThrow(MessageTooLargeError);
    expect(() => encodeBody(json(z.string()), 'q', 'äää', 7)).toThrow(
      expect.objectContaining({ code: 'MESSAGE_TOO_LARGE', sizeBytes: 8, limitBytes: 7 }),
    );
  });

  it('answers with a promise for an asynchronous schema', async () => {
    const contract = json(z.object({ n: z.number().refine(async (n) => n > 0) }));
    const good = encodeBody(contract, 'q', { n: 1 }, MAX);
    expect(good).toBeInstanceOf(Promise);
    expect(String(await good)).toBe('{"n":1}');
    await expect(encodeBody(contract, 'q', { n: -1 }, MAX)).rejects.toBeInstanceOf(ValidationError);
    await expect(encodeBody(contract, 'q', { n: 1 }, 2)).rejects.toBeInstanceOf(MessageTooLargeError);
    const date = json(z.date().refine(async () => true));
    await expect(encodeBody(date, 'q', new Date(), MAX)).rejects.toThrow(/JSON can not carry/);
  });

  it('keeps 20 issues at most', () => {
    const encode = () => encodeBody(json(z.array(z.number())), 'q', new Array(50).fill('x'), MAX);
    expect(encode).toThrow(
      expect.objectContaining({ issues: expect.toSatisfy((it: unknown[]) => it.length === 20) }),
    );
    expect(encode).toThrow(/\(and 17 more\)$/);
    // Each NaN travels as null.
    const changed = () => encodeBody(json(z.array(z.nan())), 'q', new Array(50).fill(Number.NaN), MAX);
    expect(changed).toThrow(
      expect.objectContaining({ issues: expect.toSatisfy((it: unknown[]) => it.length === 20) }),
    );
  });
});

describe('decodeBody', () => {
  it('answers with issues and never throws', async () => {
    const schema = z.object({ a: z.string() });
    expect(decodeBody(json(schema), Buffer.from('{'), undefined, undefined)).toMatchObject({ ok: false });
    expect(decodeBody(json(schema), Buffer.from('{"a":5}'), undefined, undefined)).toMatchObject({
      ok: false,
      issues: [{ path: ['a'] }],
    });
    const late = json({
      '~standard': { version: 1, vendor: 'x', validate: () => Promise.reject(new Error('no database')) },
    });
    expect(await decodeBody(late, Buffer.from('"x"'), undefined, undefined)).toMatchObject({ ok: false });
  });

  it('does not validate what it could not decode', () => {
    let validated = 0;
    const counting = z.any().refine(() => ++validated > 0);
    expect(decodeBody(json(counting), Buffer.from('1'), 'image/png', undefined)).toMatchObject({ ok: false });
    expect(validated).toBe(0);
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom('json', 'text', 'bytes'), (bytes, codec) => {
        const answer = decodeBody({ schema: z.any(), codec }, Buffer.from(bytes), undefined, undefined);
        expect(answer).toHaveProperty('ok');
      }),
    );
  });
});
