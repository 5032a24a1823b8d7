import { Broker, queue } from 'leveret';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import {
  createVhost,
  type PrivateServer,
  queueDepth,
  startPrivateServer,
} from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
const late = queue('late', z.object({ n: z.number() }));
const failing = queue('failing', z.object({ n: z.number() }), { retry: false });

describe('while the server has run out of memory', () => {
  let server: PrivateServer;
  beforeAll(async () => {
    server = await startPrivateServer();
  }, 100_000);
  afterAll(() => server?.stop());

  let isRaised = false;
  const raiseAlarm = async () => {
    isRaised = true;
    await server.ctl('set_vm_memory_high_watermark', '0');
    // The server looks at its memory a moment later. A message that comes before that is confirmed.
    await expect
      .poll(() => server.ctl('eval', 'rabbit_alarm:get_alarms().'), { timeout: 20_000 })
      .toContain('memory');
  };
  const clearAlarm = async () => {
    if (isRaised) await server.ctl('set_vm_memory_high_watermark', '0.6');
    isRaised = false;
  };

  /** A broker that the server has told of the alarm, with one message on its way. */
  async function blockedBroker(url: string) {
    const broker = await Broker.connect(url);
    const events = recordEvents(broker);
    const producer = broker.producer(numbers);
    await producer.send({ n: 0 });
    await broker.producer(failing).send({ n: 0 });
    await raiseAlarm();
    // The server tells a connection when it next publishes.
    const first = producer.send({ n: 1 });
    await expect.poll(() => events.of('blocked').length, { timeout: 10_000 }).toBe(1);
    return { broker, events, producer, first, [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose]() };
  }

  it('sends wait, and consumers and their acknowledgements go on', async () => {
    await using vhost = await createVhost(server);
    try {
      await using it = await blockedBroker(vhost.url);
      const { broker, producer, events } = it;
      expect(events.of('blocked')).toEqual([{ reason: expect.stringMatching(/memory/) }]);
      expect(broker.state).toEqual({ status: 'blocked', reason: expect.stringMatching(/memory/) });
      expect(broker.health()).toMatchObject({
        status: 'degraded',
        connections: [{ role: 'publish', status: 'open', blocked: expect.stringMatching(/memory/) }],
      });
      const waiting = [it.first, producer.send({ n: 2 }), producer.send({ n: 3 })];

      const handled: number[] = [];
      const consumer = broker.consumer(numbers, ({ body }) => void handled.push(body.n));
      await consumer.ready;
      await expect.poll(() => handled).toEqual([0]);
      await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 1 });
      // Closed, it gives back what is not acknowledged: there is nothing.
      expect(await consumer.close()).toEqual({ clean: true });
      await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
      expect(producer.pending).toBe(3);
      await expect(producer.send({ n: 4 }, { timeoutMs: 200 })).rejects.toMatchObject({
        code: 'TIMEOUT',
        maybeDelivered: false,
        message: expect.stringMatching(/blocks publishing/),
      });

      await clearAlarm();
      await Promise.all(waiting);
      expect(events.names).toEqual(['blocked', 'unblocked']);
      expect(broker.state.status).toBe('connected');
      expect(broker.health().status).toBe('up');
      await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(3);
    } finally {
      await clearAlarm();
    }
  });

  it('a message that failed for good stays where it is until its dead letter can be published', async () => {
    await using vhost = await createVhost(server);
    try {
      await using it = await blockedBroker(vhost.url);
      const { broker, events } = it;
      let runs = 0;
      await broker.consumer(failing, () => {
        runs++;
        throw new Error('for good');
      }).ready;
      await expect.poll(() => events.of('handler-error').length).toBe(1);
      await expect.poll(() => broker.stats('failing.dead')).toMatchObject({ messages: 0 });
      expect(events.of('dead-lettered')).toEqual([]);
      await clearAlarm();
      await it.first;
      await expect.poll(() => events.of('dead-lettered').length).toBe(1);
      await expect.poll(() => broker.stats('failing.dead')).toMatchObject({ messages: 1 });
      expect(runs).toBe(1);
    } finally {
      await clearAlarm();
    }
  });

  it('a producer made meanwhile waits for the end, however long that takes, and its connection lives', {
    timeout: 60_000,
  }, async () => {
    await using vhost = await createVhost(server);
    try {
      await using it = await blockedBroker(vhost.url);
      const { broker, events } = it;
      const producer = broker.producer(late);
      const sent = producer.send({ n: 1 }, { timeoutMs: Number.POSITIVE_INFINITY });
      await expect(producer.send({ n: 2 }, { timeoutMs: 16_000 })).rejects.toMatchObject({
        code: 'TIMEOUT',
        maybeDelivered: false,
        message: expect.stringMatching(/blocks publishing/),
      });
      // Asked on the connection that nothing blocks.
      await broker.declare(late);
      await expect.poll(() => broker.stats(late)).toEqual({ messages: 0, consumers: 0 });
      expect(producer.pending).toBe(1);
      await clearAlarm();
      await Promise.all([sent, it.first]);
      expect(events.names).toEqual(['blocked', 'unblocked']);
    } finally {
      await clearAlarm();
    }
  });

  it('a producer made meanwhile sends on the next connection when the blocked one is lost', async () => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    try {
      await using it = await blockedBroker(proxy.via(vhost.url));
      const sent = it.broker.producer(late).send({ n: 1 });
      // Answered after it was written.
      await it.broker.stats(numbers);
      await proxy.refuse(true);
      proxy.cutAll();
      await clearAlarm();
      await proxy.refuse(false);
      await Promise.all([sent, it.first]);
      expect(it.events.of('disconnected')).toHaveLength(1);
    } finally {
      await clearAlarm();
    }
  });

  it('a producer can be closed', async () => {
    await using vhost = await createVhost(server);
    try {
      await using it = await blockedBroker(vhost.url);
      const producer = it.broker.producer(numbers);
      await expect(producer.send({ n: 2 }, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'TIMEOUT' });
      const startedAt = performance.now();
      await producer.close();
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      expect(it.events.names).toEqual(['blocked']);
      await clearAlarm();
      await it.first;
    } finally {
      await clearAlarm();
    }
  });

  it('close ends in time and settles what waits', async () => {
    await using vhost = await createVhost(server);
    try {
      const { broker, producer, first } = await blockedBroker(vhost.url);
      const outcomes = [first, producer.send({ n: 2 })].map((sent) => sent.catch((error: unknown) => error));
      const startedAt = performance.now();
      expect(await broker.close({ timeoutMs: 500 })).toEqual({ clean: false });
      expect(performance.now() - startedAt).toBeLessThan(2_000);
      // The server may have read the first before it stopped; the second was never written.
      expect(await outcomes[0]).toMatchObject({ code: 'CLOSED', maybeDelivered: true });
      expect(await outcomes[1]).toMatchObject({ code: 'CLOSED', maybeDelivered: false });
      expect(broker.state).toEqual({ status: 'closed' });
    } finally {
      await clearAlarm();
    }
  });
});
