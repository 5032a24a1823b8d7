import { type } from 'arktype';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { isSchema, type Schema, validate } from '../../../src/contracts/schema.js';

/** A schema that does as the function says. */
function schema(answer: (value: unknown) => unknown): Schema {
  return { '~standard': { version: 1, vendor: 'test', validate: answer as Schema['~standard']['validate'] } };
}

const throws = (error: unknown) =>
  schema(() => {
    throw error;
  });
const rejects = (error: unknown) => schema(() => Promise.reject(error));

describe('validating', () => {
  it.each<[string, Schema]>([
    ['zod', z.object({ to: z.string(), lines: z.array(z.number()).optional() })],
    ['valibot', v.object({ to: v.string(), lines: v.optional(v.array(v.number())) })],
    ['arktype', type({ to: 'string', 'lines?': 'number[]' })],
  ])('works with %s', async (_, library) => {
    expect(await validate(library, { to: 'ada' })).toEqual({ ok: true, value: { to: 'ada' } });
    expect(await validate(library, { to: 'ada', lines: [1, 'x'] })).toStrictEqual({
      ok: false,
      issues: [{ message: expect.stringMatching(/number/), path: ['lines', 1] }],
    });
  });

  it('answers at once for a synchronous schema', () => {
    expect(validate(z.string(), 'a')).toEqual({ ok: true, value: 'a' });
    expect(validate(z.string(), 1)).toMatchObject({ ok: false });
  });

  it('waits for an asynchronous one', async () => {
    const known = z.string().refine(async (id) => Promise.resolve(id === 'known'), 'unknown customer');
    const answer = validate(known, 'other');

    expect(answer).toBeInstanceOf(Promise);
    expect(await answer).toEqual({ ok: false, issues: [{ message: 'unknown customer', path: [] }] });
    expect(await validate(known, 'known')).toEqual({ ok: true, value: 'known' });
  });

  it('keeps undefined apart from no value', () => {
    expect(validate(z.undefined(), undefined)).toEqual({ ok: true, value: undefined });
  });

  it('keeps 20 issues at most', async () => {
    const answer = await validate(
      z.array(z.string()),
      Array.from({ length: 50 }, (_, index) => index),
    );

    expect(answer).toMatchObject({
      ok: false,
      issues: Array.from({ length: 20 }, (_, index) => ({ path: [index] })),
    });
  });

  it('writes paths as texts and numbers', () => {
    const path = ['a', 0, { key: 'b' }, { key: 1 }, Symbol('s')];
    const answer = validate(
      schema(() => ({ issues: [{ message: 'm', path }, { message: 'n' }] })),
      1,
    );

    expect(answer).toEqual({
      ok: false,
      issues: [
        { message: 'm', path: ['a', 0, 'b', 1, 'Symbol(s)'] },
        { message: 'n', path: [] },
      ],
    });
  });

  it.each<[string, unknown, string]>([
    ['an error', new Error('a bug'), 'a bug'],
    ['a text', 'a bug', 'a bug'],
    ['nothing', undefined, 'undefined'],
    ['what has no text', Object.create(null), 'an error that can not be shown'],
    [
      'what fails to be shown',
      {
        toString: () => {
          throw new Error('no');
        },
      },
      'an error that can not be shown',
    ],
  ])('takes a schema that throws %s for a refusal', async (_, error, reason) => {
    const refused = { ok: false, issues: [{ message: `The schema threw: ${reason}`, path: [] }] };

    expect(validate(throws(error), 1)).toEqual(refused);
    expect(await validate(rejects(error), 1)).toEqual(refused);
  });

  it('takes a refinement of zod that throws for a refusal', async () => {
    const buggy = z.object({ a: z.any() }).refine(({ a }) => a.b.c);

    expect(await validate(buggy, { a: 1 })).toMatchObject({ ok: false, issues: [{ path: [] }] });
  });

  it('takes a body that is too deep for the schema for a refusal', async () => {
    const tree: z.ZodType = z.lazy(() => z.array(tree));
    const deep = JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) as unknown;

    expect(await validate(tree, deep)).toMatchObject({ ok: false, issues: [{ path: [] }] });
  });

  it.each([undefined, null, { issues: 5 }, { issues: [undefined] }, { issues: [{ message: 'm', path: 5 }] }])(
    'takes a schema that answers %o for a refusal',
    async (nonsense) => {
      expect(
        validate(
          schema(() => nonsense),
          1,
        ),
      ).toMatchObject({ ok: false });
      expect(
        await validate(
          schema(() => Promise.resolve(nonsense)),
          1,
        ),
      ).toMatchObject({ ok: false });
    },
  );
});

describe('a schema', () => {
  it.each<[string, unknown]>([
    ['of zod', z.string()],
    ['of valibot', v.string()],
    ['of arktype, which is a function', type('string')],
    ['of your own', schema(() => ({ value: 1 }))],
  ])('is one %s', (_, value) => {
    expect(isSchema(value)).toBe(true);
  });

  it.each([
    undefined,
    null,
    {},
    'string',
    String,
    { '~standard': 1 },
    { '~standard': {} },
    { '~standard': null },
  ])('is not %o', (value) => {
    expect(isSchema(value)).toBe(false);
  });
});
