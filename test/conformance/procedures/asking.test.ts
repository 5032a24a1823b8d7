import { procedure, queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { gate } from '../helpers.js';
import { suite } from '../suite.js';

const quote = procedure('quote', {
  request: z.object({ sku: z.string(), count: z.number().default(1) }),
  response: z.object({ price: z.number(), at: z.iso.datetime().transform((text) => new Date(text)) }),
});
const echo = procedure('echo', {
  request: z.object({ n: z.number() }),
  response: z.object({ n: z.number() }),
});
const at = '2030-01-01T00:00:00Z';

suite('a request', {
  'resolves with what both schemas made of it': async (bench) => {
    const [asking, answering] = [await bench.connect(), await bench.connect()];
    const responder = answering.responder(quote, ({ body }) => ({ price: 5 * body.count, at }));
    await responder.ready;
    const answer = await asking.request(quote, { sku: 'A1' });
    expect(answer).toEqual({ price: 5, at: new Date(at) });
    expect(await asking.request(quote, { sku: 'A1', count: 3 })).toMatchObject({ price: 15 });
    await expect.poll(() => responder.stats.acked).toBe(2);
    await expect.poll(() => asking.stats(quote)).toEqual({ messages: 0, consumers: 1 });
  },

  'carries headers and a correlation id of the caller': async (bench) => {
    const broker = await bench.connect();
    const seen: unknown[] = [];
    const responder = broker.responder(echo, ({ body, headers, correlationId, id }) => {
      seen.push({ tenant: headers.tenant, correlationId, hasId: id !== undefined });
      return body;
    });
    await responder.ready;
    await broker.request(echo, { n: 1 }, { headers: { tenant: 'a' }, correlationId: 'mine' });
    expect(seen).toEqual([{ tenant: 'a', correlationId: 'mine', hasId: true }]);
  },

  'that does not fit its schema is not sent': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(quote);
    // @ts-expect-error: no sku
    const asked = broker.request(quote, { count: 1 });
    await expect(asked).rejects.toMatchObject({ code: 'INVALID_BODY', issues: [{ path: ['sku'] }] });
    await expect.poll(() => broker.stats(quote)).toEqual({ messages: 0, consumers: 0 });
  },

  'is not sent where its body is too large': async (bench) => {
    const broker = await bench.connect({ maxBodyBytes: 100 });
    const asked = broker.request(quote, { sku: 'x'.repeat(100) });
    await expect(asked).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE', limitBytes: 100 });
  },

  'that was never declared is unroutable, and declares nothing': async (bench) => {
    const broker = await bench.connect();
    const asked = broker.request(quote, { sku: 'A1' });
    await expect(asked).rejects.toMatchObject({ code: 'UNROUTABLE', exchange: '', routingKey: 'quote' });
    await expect(broker.stats(quote)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  },

  'goes on being sent after one was unroutable': async (bench) => {
    const broker = await bench.connect();
    const responder = broker.responder(echo, ({ body }) => body);
    await responder.ready;
    const [lost, answered] = await Promise.allSettled([
      broker.request(quote, { sku: 'A1' }, { correlationId: 'mine' }),
      broker.request(echo, { n: 1 }),
    ]);
    expect(lost).toMatchObject({ status: 'rejected', reason: { code: 'UNROUTABLE' } });
    expect(answered).toEqual({ status: 'fulfilled', value: { n: 1 } });
  },

  'without a running responder times out and says so, and is gone from the queue': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(quote);
    const error = await broker
      .request(quote, { sku: 'A1' }, { timeoutMs: 1_500 })
      .catch((reason: unknown) => reason as Error);
    expect(error).toMatchObject({ code: 'TIMEOUT', retryable: true, maybeDelivered: true });
    expect((error as Error).message).toMatch(/within 1500 ms: no responder is running/);
    await expect.poll(async () => (await broker.stats(quote)).messages).toBe(0);
  },

  'times out while a responder is at work, and its late answer is harmless': async (bench) => {
    const broker = await bench.connect();
    const held = gate();
    const responder = broker.responder(echo, async ({ body }) => {
      if (body.n === 1) await held.opened;
      return body;
    });
    await responder.ready;
    const asked = broker.request(echo, { n: 1 }, { timeoutMs: 200, correlationId: 'one' });
    await expect(asked).rejects.toMatchObject({ code: 'TIMEOUT', maybeDelivered: true });
    held.open();
    await expect.poll(() => responder.stats.acked).toBe(1);
    expect(await broker.request(echo, { n: 2 }, { correlationId: 'two' })).toEqual({ n: 2 });
  },

  'whose time is over is not worked on': async (bench) => {
    const broker = await bench.connect();
    const held = gate();
    const handled: number[] = [];
    const responder = broker.responder(
      echo,
      async ({ body }) => {
        handled.push(body.n);
        if (body.n === 1) await held.opened;
        return body;
      },
      { prefetch: 1 },
    );
    await responder.ready;
    const first = broker.request(echo, { n: 1 });
    await expect.poll(() => handled.length).toBe(1);
    await expect(broker.request(echo, { n: 2 }, { timeoutMs: 100 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    const third = broker.request(echo, { n: 3 });
    held.open();
    expect(await Promise.all([first, third])).toEqual([{ n: 1 }, { n: 3 }]);
    expect(handled).toEqual([1, 3]);
  },

  'rejects with the reason of its signal': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(quote);
    const controller = new AbortController();
    const asked = broker.request(quote, { sku: 'A1' }, { signal: controller.signal });
    await expect.poll(async () => (await broker.stats(quote)).messages).toBe(1);
    const reason = new Error('the customer left');
    controller.abort(reason);
    await expect(asked).rejects.toBe(reason);
    await expect(broker.request(quote, { sku: 'A1' }, { signal: controller.signal })).rejects.toBe(reason);
  },

  'is one of many in flight, each with its own answer': async (bench) => {
    const [asking, answering] = [await bench.connect(), await bench.connect()];
    const waiting: (() => void)[] = [];
    const responder = answering.responder(
      echo,
      ({ body }) =>
        new Promise<{ n: number }>((resolve) => {
          waiting.push(() => resolve(body));
          // Answered last first.
          if (waiting.length === 100) for (const answer of waiting.reverse()) answer();
        }),
      { concurrency: 100 },
    );
    await responder.ready;
    const numbers = Array.from({ length: 100 }, (_, n) => n);
    const answers = await Promise.all(numbers.map((n) => asking.request(echo, { n })));
    expect(answers).toEqual(numbers.map((n) => ({ n })));
  },

  'cannot have the correlation id of one that waits': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(quote);
    const options = { correlationId: 'same', timeoutMs: 500 };
    const first = broker.request(quote, { sku: 'A1' }, options);
    await expect(broker.request(quote, { sku: 'A1' }, options)).rejects.toMatchObject({
      code: 'INVALID_OPTION',
      option: 'correlationId',
    });
    await expect(first).rejects.toMatchObject({ code: 'TIMEOUT' });
  },

  'for a full queue is refused': async (bench) => {
    const narrow = procedure('narrow', { request: z.number(), response: z.number(), maxLength: 1 });
    const broker = await bench.connect();
    await broker.declare(narrow);
    const results = await Promise.allSettled(
      [1, 2, 3, 4].map((n) => broker.request(narrow, n, { timeoutMs: 1_000 })),
    );
    const codes = results.map((it) => (it.status === 'rejected' ? it.reason.code : 'answered'));
    expect(codes).toContain('REJECTED');
    expect(codes[0]).toBe('TIMEOUT');
  },

  'takes schemas that answer later, on both sides': async (bench) => {
    const slow = procedure('slow', {
      request: z.number().refine(async (n) => n > 0),
      response: z.number().transform(async (n) => n * 2),
    });
    const broker = await bench.connect();
    await broker.responder(slow, ({ body }) => body + 1).ready;
    expect(await broker.request(slow, 1)).toBe(4);
    await expect(broker.request(slow, -1)).rejects.toMatchObject({ code: 'INVALID_BODY' });
  },

  'travels as text or bytes where the procedure says so': async (bench) => {
    const shout = procedure('shout', { request: z.string(), response: z.string(), codec: 'text' });
    const broker = await bench.connect();
    await broker.responder(shout, ({ body }) => body.toUpperCase()).ready;
    expect(await broker.request(shout, 'hello')).toBe('HELLO');
  },

  'works over a quorum queue too': async (bench) => {
    const safe = procedure('safe', { request: z.number(), response: z.number(), type: 'quorum' });
    const broker = await bench.connect();
    await broker.responder(safe, ({ body }) => body + 1).ready;
    expect(await broker.request(safe, 1)).toBe(2);
  },

  'finds its queue by the name of the procedure': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(echo);
    const plain = queue('echo', z.object({ n: z.number() }), { declare: false });
    await broker.producer(plain).send({ n: 1 });
    await expect.poll(() => broker.stats(echo)).toEqual({ messages: 1, consumers: 0 });
    expect(await broker.purge(echo)).toBe(1);
    await broker.delete(echo);
    await expect(broker.stats(echo)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  },
});
