import { Broker, queue, type Schema } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost } from '../../helpers/server/index.js';

/** One more than the last integer up to which JavaScript has every one. */
const digits = '9007199254740993';
const content = `{"id":${digits}}`;
const json = { contentType: 'application/json' };
const once = { type: 'classic', retry: { attempts: 2, initialDelayMs: 0 } } as const;

describe('an integer beyond 2^53 in a body', () => {
  it('loses digits, as documented, and the bytes of the message keep them, in every copy', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const orders = queue('orders', z.object({ id: z.number() }), once);
    const got: unknown[] = [];
    await broker.consumer(orders, ({ body, raw, attempt }) => {
      got.push([attempt, body.id, Buffer.from(raw).toString()]);
      throw new Error('for good');
    }).ready;
    await other.put('orders', content, json);
    expect((await other.take('orders.dead')).content.toString()).toBe(content);
    expect(got).toEqual([
      [1, 9007199254740992, content],
      [2, 9007199254740992, content],
    ]);
  });

  it('is refused by a schema that asks for a safe one, and its dead letter has all digits', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const got: number[] = [];
    await broker.consumer(
      queue('orders', z.object({ id: z.int() }), once),
      ({ body }) => void got.push(body.id),
    ).ready;
    await other.put('orders', content, json);
    await other.put('orders', { id: 5 }, json);
    const dead = await other.take('orders.dead');
    expect(dead.content.toString()).toBe(content);
    expect(dead.properties.headers?.['leveret-issues']).toContain('"path":["id"]');
    await expect.poll(() => got).toEqual([5]);
  });

  it('arrives with all digits when it is sent as a text', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const ids = queue('ids', z.object({ id: z.string().regex(/^\d+$/).transform(BigInt) }), once);
    const got: bigint[] = [];
    await broker.consumer(ids, ({ body }) => void got.push(body.id)).ready;
    await broker.producer(ids).send({ id: digits });
    await expect.poll(() => got).toEqual([9007199254740993n]);
  });
});

describe('a number that is sent', () => {
  it('arrives as it was, however large or small', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const numbers = queue('numbers', z.number(), once);
    const sent = [2 ** 53, -(2 ** 53) - 2, 2 ** 63, 1e21, Number.MAX_VALUE, Number.MIN_VALUE, 0.1 + 0.2];
    const got: number[] = [];
    await broker.consumer(numbers, ({ body }) => void got.push(body)).ready;
    expect(await broker.producer(numbers).sendAll(sent)).toEqual({ sent: sent.length, failed: [] });
    await expect.poll(() => got).toEqual(sent);
  });

  it.each([
    ['a bigint', 9007199254740993n, /BigInt/],
    ['Infinity', Number.POSITIVE_INFINITY, /JSON cannot carry this body/],
    ['not a number', Number.NaN, /JSON cannot carry this body/],
  ])('is refused before it is sent where JSON would lose it: %s', async (_what, value, reason) => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const expectNumber = (it: unknown) => typeof it === 'number' || typeof it === 'bigint';
    const anyNumber = z.custom(expectNumber) as unknown as Schema<unknown>;
    const numbers = queue('numbers', anyNumber, once);
    await expect(broker.producer(numbers).send(value)).rejects.toMatchObject({
      code: 'INVALID_BODY',
      message: expect.stringMatching(reason),
    });
  });
});
