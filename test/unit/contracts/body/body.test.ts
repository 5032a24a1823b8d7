import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  type BodyContract,
  decodeBody,
  encodeBody,
  receiveBody,
} from '../../../../src/contracts/body/body.js';
import type { Schema } from '../../../../src/contracts/body/schema.js';
import { MessageTooLargeError, ValidationError } from '../../../../src/errors.js';
import { rejectionOf, thrownBy } from '../../support/track.js';

const json = (schema: Schema): BodyContract => ({ schema, codec: 'json' });

function encode(schema: Schema, body: unknown, maxBytes = 1_000) {
  const encoded = encodeBody(json(schema), "the queue 'emails'", body, maxBytes);
  return Buffer.isBuffer(encoded) ? encoded : encoded.content;
}

function refusal(schema: Schema, body: unknown): ValidationError {
  const error = thrownBy(() => encode(schema, body));
  expect(error).toBeInstanceOf(ValidationError);
  return error as ValidationError;
}

describe('encoding a body', () => {
  it('sends the body, not what the schema makes of it', () => {
    const schema = z.object({ n: z.string().transform(Number), m: z.number().default(1) });
    const content = encode(schema, { n: '5' }) as Buffer;

    expect(content.toString()).toBe('{"n":"5"}');
    expect(decodeBody(json(schema), content, {})).toEqual({
      ok: true,
      value: { n: 5, m: 1 },
    });
  });

  it('refuses what does not fit the schema, naming target and paths', () => {
    const error = refusal(z.object({ a: z.object({ b: z.string() }) }), { a: {} });

    expect(error.message).toMatch(/^Invalid body for the queue 'emails': a\.b: /);
    expect(error).toMatchObject({ code: 'INVALID_BODY', issues: [{ path: ['a', 'b'] }] });
  });

  it('refuses what the codec cannot encode, and says why', () => {
    expect(refusal(z.any(), undefined).issues).toEqual([
      { message: 'undefined cannot be encoded as JSON', path: [] },
    ]);
  });

  it('refuses a key that could reach a prototype also when it comes from a toJSON', () => {
    const { issues } = refusal(z.any(), { toJSON: () => JSON.parse('{"__proto__": 1}') as unknown });

    expect(issues.at(-1)).toEqual({ message: 'this key is not allowed', path: ['__proto__'] });
  });

  it.each<[string, Schema, unknown]>([
    ['a date that must be a date', z.object({ at: z.date() }), { at: new Date(0) }],
    ['a NaN that must be one', z.nan(), Number.NaN],
    ['an Infinity among numbers', z.array(z.any()).refine((it) => typeof it[0] === 'number'), [Infinity]],
    ['a key that has to be there', z.object({ a: z.any() }).refine((it) => 'a' in it), { a: undefined }],
    [
      'a property that JSON does not see',
      z.object({ id: z.string() }),
      Object.defineProperty({}, 'id', { value: 'x' }),
    ],
    ['an instance of a class', z.instanceof(URL), new URL('https://example.com')],
    ['a negative zero', z.custom((it) => Object.is(it, -0)), -0],
  ])('refuses %s, since JSON would change it', (_, schema, body) => {
    const [note, ...issues] = refusal(schema, body).issues;

    expect(note).toEqual({
      message: 'JSON cannot carry this body unchanged: the received body would not match the schema',
      path: [],
    });
    expect(issues).not.toHaveLength(0);
  });

  it('refuses what JSON would empty where the schema does not look, with the path', () => {
    const anything = z.object({ title: z.string(), details: z.unknown() });
    expect(refusal(anything, { title: 'a', details: { rows: new Map([['a', 1]]) } }).issues).toEqual([
      { message: expect.stringMatching(/instance of Map/), path: ['details', 'rows'] },
    ]);
  });

  it('takes what JSON changes when the consumer takes it then', () => {
    const schema = z.object({ at: z.coerce.date(), ratio: z.number().nullable().or(z.nan()) });

    expect(String(encode(schema, { at: new Date(0), ratio: Number.NaN }))).toBe(
      '{"at":"1970-01-01T00:00:00.000Z","ratio":null}',
    );
  });

  it('refuses bytes of a class that the schema knows, and that do not arrive as such', () => {
    const exactly = z.custom<Uint8Array>((value) => (value as object)?.constructor === Uint8Array);
    const contract: BodyContract = { schema: exactly, codec: 'bytes' };

    expect(() => encodeBody(contract, 'q', Uint8Array.of(1), 10)).toThrow(ValidationError);
  });

  it('refuses more bytes than allowed, counted as they travel', () => {
    const error = thrownBy(() => encode(z.string(), 'äää', 7));

    expect(encode(z.string(), 'äää', 8)).toHaveLength(8);
    expect(error).toBeInstanceOf(MessageTooLargeError);
    expect(error).toMatchObject({ code: 'MESSAGE_TOO_LARGE', sizeBytes: 8, limitBytes: 7 });
  });

  it('waits for an asynchronous schema, and then says the same', async () => {
    const schema = z.object({
      at: z.any().refine(async (at) => Promise.resolve(at instanceof Date), 'no date'),
    });
    const text = z.string().refine(async () => Promise.resolve(true));

    await expect(encode(text, 'ü')).resolves.toEqual(Buffer.from('"ü"'));
    await expect(encode(text, 'ü', 2)).rejects.toBeInstanceOf(MessageTooLargeError);
    expect(await rejectionOf(encode(schema, { at: 1 }) as Promise<Buffer>)).toMatchObject({
      issues: [{ message: 'no date', path: ['at'] }],
    });
    expect(await rejectionOf(encode(schema, { at: new Date(0) }) as Promise<Buffer>)).toMatchObject({
      code: 'INVALID_BODY',
      issues: [{ path: [] }, { message: 'no date', path: ['at'] }],
    });
  });

  it('keeps 20 issues at most', () => {
    const error = refusal(z.array(z.number()), new Array(50).fill('x'));
    // Each NaN travels as null.
    const changed = refusal(z.array(z.nan()), new Array(50).fill(Number.NaN));

    expect({ error: error.issues.length, changed: changed.issues.length }).toEqual({
      error: 20,
      changed: 20,
    });
    expect(error.message).toMatch(/\(and 17 more\)$/);
  });
});

describe('decoding a body', () => {
  it('answers with issues and never throws', async () => {
    const schema = z.object({ a: z.string() });
    expect(decodeBody(json(schema), Buffer.from('{'), {})).toMatchObject({ ok: false });
    expect(decodeBody(json(schema), Buffer.from('{"a":5}'), {})).toMatchObject({
      ok: false,
      issues: [{ path: ['a'] }],
    });
    const late = json({
      '~standard': { version: 1, vendor: 'x', validate: () => Promise.reject(new Error('no database')) },
    });
    expect(await decodeBody(late, Buffer.from('"x"'), {})).toMatchObject({ ok: false });
  });

  it('does not validate what it could not decode', () => {
    let validated = 0;
    const counting = z.any().refine(() => ++validated > 0);
    expect(decodeBody(json(counting), Buffer.from('1'), { contentType: 'image/png' })).toMatchObject({
      ok: false,
    });
    expect(validated).toBe(0);
  });

  it('refuses a received body that is larger than the limit, and does not validate it', () => {
    let validated = 0;
    const counting = json(z.any().refine(() => ++validated > 0));
    const received = { content: Buffer.from('12345'), properties: {} };

    expect(receiveBody(counting, received, 4)).toEqual({
      ok: false,
      issues: [{ message: "is 5 bytes; the limit is 4 (the broker's 'maxBodyBytes')", path: [] }],
    });
    expect(validated).toBe(0);
    expect(receiveBody(counting, received, 5)).toEqual({ ok: true, value: 12345 });
  });

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.constantFrom('json', 'text', 'bytes'), (bytes, codec) => {
        const answer = decodeBody({ schema: z.any(), codec }, Buffer.from(bytes), {});
        expect(answer).toHaveProperty('ok');
      }),
    );
  });
});
