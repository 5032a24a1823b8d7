import { Broker, queue, type Schema } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';

const order = z.object({ id: z.string(), lines: z.array(z.object({ amount: z.number() })).optional() });
const json = { contentType: 'application/json' };

const deep = (levels: number) => `{"id":"a","deep":${'['.repeat(levels)}${']'.repeat(levels)}}`;

describe('a message that is invalid', () => {
  it.each<[string, Buffer | string, object, RegExp]>([
    ['no JSON', 'hello', json, /not JSON/],
    ['nothing', '', json, /not JSON/],
    ['cut JSON', '{"id":"a"', json, /not JSON/],
    ['no UTF-8', Buffer.from([0x22, 0xc3, 0x28, 0x22]), json, /UTF-8/],
    ['of another content type', '{"id":"a"}', { contentType: 'text/csv' }, /content type 'text\/csv'/],
    ['of another charset', '{"id":"a"}', { contentType: 'application/json; charset=utf-16' }, /utf-16/],
    ['compressed', Buffer.from([0x1f, 0x8b]), { ...json, contentEncoding: 'gzip' }, /gzip/],
    ['too large', `{"id":"${'x'.repeat(2_000)}"}`, json, /2009 bytes.*1000/],
    ['out to reach prototypes', '{"id":"a","__proto__":{"admin":true}}', json, /__proto__|not allowed/],
    [
      'out to reach prototypes in another way',
      '{"id":"a","constructor":{"prototype":{}}}',
      json,
      /not allowed/,
    ],
    ['not what the schema says', '{"id":7}', json, /expected string/],
  ])(
    'because it is %s is dead-lettered as it is, and its handler does not see it',
    async (_why, content, properties, issue) => {
      await using vhost = await createVhost();
      await using other = await otherClient(vhost.url);
      await using broker = await Broker.connect(vhost.url, { maxBodyBytes: 1_000 });
      const events = recordEvents(broker);
      const orders = queue('orders', order, { type: 'classic' });
      const handled: unknown[] = [];
      const consumer = broker.consumer(orders, ({ body }) => void handled.push(body));
      await consumer.ready;
      await other.put('orders', content, { messageId: 'm-1', headers: { tenant: 'acme' }, ...properties });
      await other.put('orders', '{"id":"good"}', json);

      const dead = await other.take('orders.dead');
      expect(dead.content).toEqual(Buffer.from(content as string));
      expect(dead.properties).toMatchObject({
        messageId: 'm-1',
        ...properties,
        headers: {
          tenant: 'acme',
          'leveret-error': expect.stringMatching(/^INVALID_BODY: /),
          'leveret-attempt': 1,
          'leveret-queue': 'orders',
          'leveret-issues': expect.stringMatching(issue),
        },
      });
      await expect.poll(() => handled).toEqual([{ id: 'good' }]);
      await expect.poll(() => events.names).toEqual(['invalid-message', 'dead-lettered']);
      const [event] = events.of('invalid-message');
      expect(event).toMatchObject({ queue: 'orders', messageId: 'm-1' });
      const { 'leveret-issues': issues } = dead.properties.headers as { 'leveret-issues': string };
      expect(JSON.parse(issues)).toEqual(event?.issues);
      expect(consumer.stats).toMatchObject({ invalid: 1, deadLettered: 1, retried: 0, inFlight: 0 });
    },
  );

  it('names every place that does not fit, twenty at most', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const orders = queue('orders', order);
    await broker.consumer(orders, () => undefined).ready;
    const lines = Array.from({ length: 50 }, (_, n) => ({ amount: `${n}` }));
    await other.put('orders', { id: 'a', lines }, json);
    const dead = await other.take('orders.dead');
    const issues = JSON.parse(dead.properties.headers?.['leveret-issues'] as string) as unknown[];
    expect(issues.length).toBe(20);
    expect(issues[3]).toEqual({ path: ['lines', 3, 'amount'], message: expect.any(String) });
  });

  it('is found by a schema that takes its time, or throws', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const slow: Schema<{ id: string }> = {
      '~standard': {
        version: 1,
        vendor: 'a test',
        validate: async (value) => {
          await new Promise((resolve) => setImmediate(resolve));
          const { id } = value as { id: string };
          if (id === 'throws') throw new Error('the database is away');
          return id === 'bad' ? { issues: [{ message: 'a bad id', path: ['id'] }] } : { value: { id } };
        },
      },
    };
    const handled: string[] = [];
    const consumer = broker.consumer(
      queue('orders', slow, { type: 'classic' }),
      ({ body }) => void handled.push(body.id),
    );
    await consumer.ready;
    for (const id of ['bad', 'throws', 'good']) await other.put('orders', { id }, json);
    const dead = await other.takeAll('orders.dead', 2);
    const issues = dead.map(({ properties }) => properties.headers?.['leveret-issues'] as string);
    expect(issues.join()).toMatch(/a bad id/);
    expect(issues.join()).toMatch(/the database is away/);
    await expect.poll(() => handled).toEqual(['good']);
  });

  it.each<[string, () => z.ZodType<unknown, unknown>, RegExp]>([
    [
      'throws',
      () =>
        z.object({ id: z.string() }).refine(({ id }) => {
          if (id === 'good') return true;
          throw new TypeError('the list is not loaded');
        }),
      /the list is not loaded/,
    ],
    [
      'reads what is not there',
      () =>
        z
          .object({ id: z.string(), of: z.any().optional() })
          .refine(({ id, of }) => id === 'good' || of.it.is > 0),
      /undefined/,
    ],
    [
      'rejects',
      () =>
        z.object({ id: z.string() }).refine(async ({ id }) => {
          await new Promise((resolve) => setImmediate(resolve));
          if (id !== 'good') throw new Error('the database is away');
          return true;
        }),
      /the database is away/,
    ],
    [
      'throws in a transform',
      () =>
        z.object({ id: z.string() }).transform(({ id }) => {
          if (id !== 'good') throw new RangeError('no such year');
          return { id };
        }),
      /no such year/,
    ],
  ])(
    'is one for which a refinement of zod %s: it is tried once, and the next one is handled',
    async (_what, schema, reason) => {
      await using vhost = await createVhost();
      await using other = await otherClient(vhost.url);
      await using broker = await Broker.connect(vhost.url);
      const events = recordEvents(broker);
      const handled: unknown[] = [];
      const orders = queue('orders', schema(), { type: 'classic' });
      const consumer = broker.consumer(orders, ({ body }) => void handled.push(body));
      await consumer.ready;
      await other.put('orders', { id: 'bad' }, json);
      await other.put('orders', { id: 'good' }, json);
      const dead = await other.take('orders.dead');
      expect(dead.properties.headers).toMatchObject({
        'leveret-error': expect.stringMatching(/^INVALID_BODY: /),
        'leveret-issues': expect.stringMatching(reason),
      });
      await expect.poll(() => handled).toMatchObject([{ id: 'good' }]);
      // The dead letter can be here before its confirm is with its consumer.
      await expect.poll(() => events.names).toEqual(['invalid-message', 'dead-lettered']);
      expect(consumer.stats).toMatchObject({ invalid: 1, retried: 0 });
      // Its sender is told the same, before anything is sent.
      await expect(broker.producer(orders).send({ id: 'bad' })).rejects.toMatchObject({
        code: 'INVALID_BODY',
        message: expect.stringMatching(reason),
      });
    },
  );

  it('breaks nothing when it is nested deeper than a schema can follow', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const tree: z.ZodType<unknown> = z.lazy(() =>
      z.union([z.string(), z.array(tree), z.record(z.string(), tree)]),
    );
    const handled: unknown[] = [];
    await broker.consumer(
      queue('trees', tree as z.ZodType<unknown, unknown>),
      ({ body }) => void handled.push(body),
    ).ready;
    await other.put('trees', deep(100_000), json);
    await other.put('trees', '"good"', json);
    expect((await other.take('trees.dead')).content.length).toBe(deep(100_000).length);
    await expect.poll(() => handled).toEqual(['good']);
  });

  it('is dropped where there is no dead-letter queue, and told of', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    const orders = queue('orders', order, { type: 'classic', deadLetter: false });
    const consumer = broker.consumer(orders, () => undefined);
    await consumer.ready;
    await other.put('orders', 'hello', json);
    await expect.poll(() => events.of('invalid-message').length).toBe(1);
    await consumer.close();
    await expect.poll(() => broker.stats(orders)).toEqual({ messages: 0, consumers: 0 });
  });

  it('is text that is no UTF-8 for the codec text; nothing for the codec bytes', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const bad = Buffer.from([0xff, 0xfe]);
    const got: unknown[] = [];
    const texts = queue('texts', z.string(), { codec: 'text' });
    const bytes = queue('bytes', z.instanceof(Uint8Array), { codec: 'bytes' });
    await broker.consumer(texts, ({ body }) => void got.push(body)).ready;
    await broker.consumer(bytes, ({ body }) => void got.push([...body])).ready;
    await other.put('texts', bad, { contentType: 'text/plain' });
    await other.put('bytes', bad, { contentType: 'application/whatever' });
    expect((await other.take('texts.dead')).content).toEqual(bad);
    await expect.poll(() => got).toEqual([[0xff, 0xfe]]);
  });
});
