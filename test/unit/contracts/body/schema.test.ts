import { type } from 'arktype';
import * as v from 'valibot';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import * as mini from 'zod/mini';
import * as z3 from 'zod/v3';
import { isSchema, type Schema } from '../../../../src/contracts/body/schema.js';
import { validate } from '../../../../src/contracts/body/validate.js';
import { absenceOf } from '../../../helpers/waits.js';

/** A schema that does as the function says. */
function schema(answer: (value: unknown) => unknown): Schema {
  return { '~standard': { version: 1, vendor: 'test', validate: answer as Schema['~standard']['validate'] } };
}

const throws = (error: unknown) =>
  schema(() => {
    throw error;
  });
const rejects = (error: unknown) => schema(() => Promise.reject(error));

function lazily(ask: () => Promise<boolean>): z.ZodType {
  const tree: z.ZodType = z.lazy(() => z.array(z.union([tree, leaf])));
  const leaf = z.string().refine(async () => ask());
  return tree;
}

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
    ['what has no text', Object.create(null), 'an error that cannot be shown'],
    [
      'what fails to be shown',
      {
        toString: () => {
          throw new Error('no');
        },
      },
      'an error that cannot be shown',
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

  describe('with a function of zod that is asynchronous', () => {
    const rejections: unknown[] = [];
    const onRejection = (reason: unknown) => void rejections.push(reason);
    beforeEach(() => void process.on('unhandledRejection', onRejection));
    afterEach(() => {
      process.off('unhandledRejection', onRejection);
      rejections.length = 0;
    });
    const away = () => Promise.reject(new Error('the database is away'));
    const told = () => absenceOf(20, 'an unhandled rejection is reported, after the microtasks');

    it.each<[string, (ask: () => Promise<boolean>) => Schema]>([
      ['refinement', (ask) => z.string().refine(async () => ask())],
      ['refinement of a property', (ask) => z.object({ a: z.string().refine(async () => ask()) })],
      [
        'refinement of an element',
        (ask) => z.array(z.union([z.number(), z.string().refine(async () => ask())])),
      ],
      ['transform', (ask) => z.string().transform(async () => ask())],
      ['transform in a pipe', (ask) => z.string().pipe(z.transform(async () => ask()))],
      ['check', (ask) => z.string().check(async () => void (await ask()))],
      ['custom schema', (ask) => z.custom(async () => ask())],
      ['refinement of a schema that contains itself', (ask) => lazily(ask)],
      ['refinement that adds issues itself', (ask) => z.string().superRefine(async () => void (await ask()))],
      ['codec', (ask) => z.codec(z.string(), z.any(), { decode: async () => ask(), encode: String })],
      ['refinement of zod/mini', (ask) => mini.string().check(mini.refine(async () => ask()))],
      ['refinement of zod 3', (ask) => z3.object({ a: z3.string().refine(async () => ask()) })],
      ['transform of zod 3', (ask) => z3.array(z3.string().transform(async () => ask()))],
      [
        'lazy refinement of zod 3',
        (ask) => z3.lazy(() => z3.string().superRefine(async () => void (await ask()))),
      ],
    ])('takes a %s that rejects for a refusal, and nothing else hears of it', async (_what, make) => {
      let calls = 0;
      const schema = make(() => {
        calls++;
        return away();
      });
      for (const body of ['a', { a: 'a' }, ['a']]) await validate(schema, body);

      await told();
      expect(rejections).toEqual([]);
      expect(calls).toBeGreaterThan(0);
    });

    it('says what it rejected with, and asks once', async () => {
      let calls = 0;
      const schema = z.object({
        id: z.string().refine(async (id) => {
          calls++;
          return id === 'good' || away();
        }),
      });

      expect(await validate(schema, { id: 'good' })).toEqual({ ok: true, value: { id: 'good' } });
      expect(await validate(schema, { id: 5 })).toMatchObject({ ok: false, issues: [{ path: ['id'] }] });
      expect(await validate(schema, { id: 'bad' })).toEqual({
        ok: false,
        issues: [{ message: 'The schema threw: the database is away', path: [] }],
      });
      expect(calls).toBe(2);
    });

    it('asks once from the second body on where it only returns promises', async () => {
      let calls = 0;
      const schema = z.string().refine((id) => {
        calls++;
        return id === 'good' ? Promise.resolve(true) : away();
      });

      expect(await validate(schema, 'good')).toMatchObject({ ok: true });
      calls = 0;
      expect(await validate(schema, 'bad')).toMatchObject({ ok: false });
      await told();
      expect({ calls, rejections }).toEqual({ calls: 1, rejections: [] });
    });

    it('gives the same issues and values as without one', async () => {
      const shape = { id: z.string().min(3), n: z.number().default(5), at: z.coerce.date().optional() };
      const plain = z.object(shape);
      const asynchronous = plain.refine(async () => Promise.resolve(true));
      for (const body of [{ id: 'abc' }, { id: 'a', n: 'x' }, 5, { id: 'abc', at: 0 }])
        expect(await validate(asynchronous, body)).toEqual(validate(plain, body));
    });
  });

  it('goes by what a zod schema says of a body, whatever cannot be followed in it', async () => {
    const endless = (): z.ZodType => z.object({ next: z.lazy(() => endless()).optional() });
    const missing = (): never => {
      throw new Error('not yet');
    };
    for (const schema of [
      endless(),
      z.object({ next: z.union([z.object({}), z.lazy(missing)]) }),
      z.object({ next: z.object({}).default(missing) }),
      z3.object({ next: z3.union([z3.object({}), z3.lazy(missing)]) }),
    ]) {
      expect(await validate(schema, { next: {} })).toEqual({ ok: true, value: { next: {} } });
    }
  });

  it('makes a default only for a body that lacks it', () => {
    let made = 0;
    const schema = z.object({ n: z.number().default(() => ++made) });

    expect(validate(schema, { n: 7 })).toEqual({ ok: true, value: { n: 7 } });
    expect(validate(schema, {})).toEqual({ ok: true, value: { n: 1 } });
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

describe('a zod schema whose function answers with a promise without being written as async', () => {
  const row = () => z.object({ amount: z.number().min(0), text: z.string().max(140).optional() });

  it.each([
    ['is plain', (isKnown: () => Promise<boolean>) => z.string().refine(() => isKnown())],
    ['is bound', (isKnown: () => Promise<boolean>) => z.string().refine(isKnown.bind(undefined))],
    ['transforms', (isKnown: () => Promise<boolean>) => z.string().transform(() => isKnown())],
    [
      'is deep in a large schema',
      (isKnown: () => Promise<boolean>) =>
        z.object({
          columns: z.union(Array.from({ length: 1_500 }, row)).optional(),
          name: z.string().refine(() => isKnown()),
        }),
    ],
  ])('is asked once, and its rejection is an issue: it %s', async (what, schemaOf) => {
    let asked = 0;
    const schema: Schema = schemaOf(() => {
      asked++;
      return Promise.reject(new Error('the bank does not answer'));
    });
    const body = what === 'is deep in a large schema' ? { name: 'Ada' } : 'Ada';
    expect(await validate(schema, body)).toMatchObject({
      ok: false,
      issues: [{ message: expect.stringContaining('the bank does not answer') }],
    });
    expect(asked).toBe(1);
  });
});
