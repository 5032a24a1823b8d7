import { Broker, ConfigurationError, type Message, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { isVersion } from '../../helpers/versions.js';
import { WireLog } from '../../helpers/wire-log.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { retry: { initialDelayMs: 1 } });
const upTo = (count: number) => Array.from({ length: count }, (_, n) => ({ n }));

/** What the next loop gets: the numbers and their attempts. */
async function rest(broker: Broker, count: number): Promise<Record<number, number>> {
  const attempts: Record<number, number> = {};
  for await (const { body, attempt } of broker.consumer(numbers)) {
    attempts[body.n] = attempt;
    if (Object.keys(attempts).length === count) break;
  }
  return attempts;
}

describe('a loop over a consumer', () => {
  it('acknowledges a message when it asks for the next one, not before', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    await broker.producer(numbers).sendAll(upTo(3));
    const consumer = broker.consumer(numbers);
    const seen: number[] = [];
    for await (const message of consumer) {
      // A round trip: what was written before it has passed the proxy.
      await broker.stats(numbers);
      expect(consumer.stats).toMatchObject({ acked: seen.length, inFlight: 1 });
      expect(wire.of('basic.ack', 'to-server').length).toBe(seen.length);
      seen.push(message.body.n);
      if (seen.length === 3) {
        message.ack();
        break;
      }
    }
    expect(seen).toEqual([0, 1, 2]);
    expect(consumer.stats).toMatchObject({ acked: 3, requeued: 0 });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });

  it('that is left gives the message in hand back as an attempt, and the unseen ones as they were', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).sendAll(upTo(4));
    const consumer = broker.consumer(numbers, { prefetch: 4 });
    for await (const { body, attempt } of consumer) {
      expect(attempt).toBe(1);
      if (body.n < 1) continue;
      await expect.poll(() => consumer.stats.waiting).toBe(2);
      break;
    }
    expect(consumer.stats).toMatchObject({ acked: 1, requeued: 1 });
    // Before 4.3 the server counts every return.
    const unseen = isVersion('4.3') ? 1 : 2;
    expect(await rest(broker, 3)).toEqual({ 1: 2, 2: unseen, 3: unseen });
  });

  it('keeps a message done that has its verdict when the loop is left', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).sendAll(upTo(2));
    for await (const message of broker.consumer(numbers)) {
      expect(message.ack()).toBe(true);
      break;
    }
    expect(await rest(broker, 1)).toEqual({ 1: isVersion('4.3') ? 1 : 2 });
  });

  it('respects every verdict of its body', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.producer(numbers).sendAll(upTo(4));
    const seen: string[] = [];
    const consumer = broker.consumer(numbers);
    for await (const message of consumer) {
      const { body, redelivered, attempt } = message;
      seen.push(`${body.n}${redelivered || attempt > 1 ? ' again' : ''}`);
      if (body.n === 1 && attempt === 1) message.retry({ delayMs: 1 });
      if (body.n === 2) message.deadLetter('no use');
      if (body.n === 3 && !redelivered) message.requeue();
      if (seen.length === 6) {
        message.ack();
        break;
      }
    }
    expect(seen.toSorted()).toEqual(['0', '1', '1 again', '2', '3', '3 again']);
    expect(consumer.stats).toMatchObject({ acked: 3, retried: 1, requeued: 1 });
    expect((await other.take('numbers.dead')).content.toString()).toBe('{"n":2}');
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 0, consumers: 0 });
  });

  it('passes on what its body throws, and gives the message back', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).send({ n: 1 });
    const failing = async () => {
      for await (const message of broker.consumer(numbers)) throw new Error(`no use for ${message.body.n}`);
    };
    await expect(failing()).rejects.toThrow('no use for 1');
    expect(await rest(broker, 1)).toEqual({ 1: 2 });
  });

  it('that is left with return gives the message back as well', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).send({ n: 1 });
    const first = async () => {
      for await (const message of broker.consumer(numbers)) return message.body.n;
      return undefined;
    };
    expect(await first()).toBe(1);
    expect(await rest(broker, 1)).toEqual({ 1: 2 });
  });

  it('does not see invalid messages', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.declare(numbers);
    await other.put('numbers', '{"n":"one"}');
    await other.put('numbers', '{"n":2}');
    const events = recordEvents(broker);
    for await (const message of broker.consumer(numbers)) {
      expect(message.body).toEqual({ n: 2 });
      message.ack();
      break;
    }
    expect(events.of('invalid-message').length).toBe(1);
    expect((await other.take('numbers.dead')).content.toString()).toBe('{"n":"one"}');
  });

  it('goes on over an outage without noticing it', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    const producer = broker.producer(numbers);
    await producer.send({ n: 0 });
    const seen: number[] = [];
    const signals: AbortSignal[] = [];
    for await (const { body, signal } of broker.consumer(numbers)) {
      seen.push(body.n);
      signals.push(signal);
      if (seen.length === 1) {
        proxy.cutAll();
        await expect.poll(() => signal.aborted).toBe(true);
        await producer.send({ n: 1 });
      }
      if (body.n === 1) break;
    }
    // Done when its connection was already lost: it came again, and was not run again.
    expect(seen).toEqual([0, 1]);
  });

  it('goes on while it waits for a message and the connection is lost', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    const events = recordEvents(broker);
    const consumer = broker.consumer(numbers);
    const loop = consumer[Symbol.asyncIterator]();
    const next = loop.next();
    await consumer.ready;
    proxy.cutAll();
    await expect.poll(() => events.of('consumer-recovered').length).toBe(1);
    await broker.producer(numbers).send({ n: 1 });
    const { value } = (await next) as { value: Message<{ n: number }> };
    expect(value.body).toEqual({ n: 1 });
    expect(value.ack()).toBe(true);
    await loop.return?.();
  });

  it('is refused over a consumer that has a handler', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(numbers, () => undefined);
    const loop = async () => {
      for await (const message of consumer) message.ack();
    };
    await expect(loop()).rejects.toBeInstanceOf(ConfigurationError);
    expect(consumer.state.status).not.toBe('closed');
    await consumer.ready;
  });
});
