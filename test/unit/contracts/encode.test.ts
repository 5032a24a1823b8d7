import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { encodeBody } from '../../../src/contracts/body.js';
import type { Schema } from '../../../src/contracts/schema.js';
import { ValidationError } from '../../../src/errors.js';
import { rejectionOf, thrownBy } from '../support/track.js';

function encode(schema: Schema, body: unknown) {
  return encodeBody({ schema, codec: 'json' }, "the queue 'emails'", body, 1_000);
}

function refusal(schema: Schema, body: unknown): ValidationError {
  const error = thrownBy(() => encode(schema, body));
  expect(error).toBeInstanceOf(ValidationError);
  return error as ValidationError;
}

const anything = z.any();

describe('encoding a body', () => {
  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'undefined can not be encoded as JSON'],
    ['a function', () => 1, 'a function can not be encoded as JSON'],
    ['a symbol', Symbol('s'), 'a symbol can not be encoded as JSON'],
    [
      'an object that is nothing in JSON',
      { toJSON: () => undefined },
      'an object can not be encoded as JSON',
    ],
    ['a bigint', { n: 1n }, 'can not be encoded as JSON: Do not know how to serialize a BigInt'],
    [
      'a toJSON that throws',
      {
        toJSON: () => {
          throw new Error('a bug');
        },
      },
      'can not be encoded as JSON: a bug',
    ],
    [
      'a toJSON that throws what can not be shown',
      {
        toJSON: () => {
          throw Object.create(null);
        },
      },
      'can not be encoded as JSON: an error that can not be shown',
    ],
  ])('refuses %s', (_, body, message) => {
    expect(refusal(anything, body).issues).toEqual([{ message, path: [] }]);
  });

  it.each<[string, unknown, (string | number)[]]>([
    ['as a key', JSON.parse('{"a": {"__proto__": 1}}'), ['a', '__proto__']],
    [
      'by way of the constructor',
      { list: [{ constructor: { prototype: 1 } }] },
      ['list', 0, 'constructor', 'prototype'],
    ],
    ['from a toJSON', { toJSON: () => JSON.parse('{"__proto__": 1}') as unknown }, ['__proto__']],
  ])('refuses a key that could reach a prototype, %s', (_, body, path) => {
    const { issues } = refusal(anything, body);

    expect(issues.at(-1)).toEqual({ message: 'this key is not allowed', path });
  });

  it.each<[string, Schema, unknown]>([
    ['a date that must be a date', z.object({ at: z.date() }), { at: new Date(0) }],
    ['a map that must be a map', z.map(z.string(), z.number()), new Map([['a', 1]])],
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
      message: 'JSON can not carry this body as it is: what would arrive does not fit the schema',
      path: [],
    });
    expect(issues).not.toHaveLength(0);
  });

  it('takes what JSON changes when the consumer takes it then', () => {
    const schema = z.object({ at: z.coerce.date(), ratio: z.number().nullable().or(z.nan()) });

    expect(String(encode(schema, { at: new Date(0), ratio: Number.NaN }))).toBe(
      '{"at":"1970-01-01T00:00:00.000Z","ratio":null}',
    );
  });

  it('waits for an asynchronous schema', async () => {
    const schema = z.object({
      at: z.any().refine(async (at) => Promise.resolve(at instanceof Date), 'no date'),
    });

    await expect(
      encode(
        z.string().refine(async () => Promise.resolve(true)),
        'ü',
      ),
    ).resolves.toEqual(Buffer.from('"ü"'));
    expect(await rejectionOf(encode(schema, { at: 1 }) as Promise<Buffer>)).toMatchObject({
      issues: [{ message: 'no date', path: ['at'] }],
    });
    expect(await rejectionOf(encode(schema, { at: new Date(0) }) as Promise<Buffer>)).toMatchObject({
      code: 'INVALID_BODY',
      issues: [{ path: [] }, { message: 'no date', path: ['at'] }],
    });
  });
});
