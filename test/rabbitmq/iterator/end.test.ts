import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost } from '../../helpers/server/index.js';
import { freePort } from '../../helpers/server/ports.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
const upTo = (count: number) => Array.from({ length: count }, (_, n) => ({ n }));

describe('a loop over a consumer ends', () => {
  it('when the consumer is closed while it waits', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(numbers);
    const loop = (async () => {
      for await (const message of consumer) message.ack();
      return 'ended';
    })();
    await consumer.ready;
    expect(await consumer.close()).toEqual({ clean: true });
    expect(await loop).toBe('ended');
    expect(await consumer.closed).toBeUndefined();
  });

  it('when the consumer is closed in its body, which may end first', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).sendAll(upTo(3));
    const consumer = broker.consumer(numbers, { prefetch: 3 });
    const seen: number[] = [];
    let closed: Promise<{ clean: boolean }> | undefined;
    for await (const { body, signal } of consumer) {
      closed = consumer.close();
      // Unseen messages are requeued meanwhile.
      await expect.poll(() => broker.stats(numbers)).toMatchObject({ messages: 2 });
      expect(signal.aborted).toBe(false);
      seen.push(body.n);
    }
    expect(seen).toEqual([0]);
    expect(await closed).toEqual({ clean: true });
    expect(consumer.stats).toMatchObject({ acked: 1 });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 2, consumers: 0 });
  });

  it('when the deadline of a close passes: the message in hand goes back', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).send({ n: 1 });
    const consumer = broker.consumer(numbers);
    const rounds: boolean[] = [];
    for await (const message of consumer) {
      expect(await consumer.close({ timeoutMs: 100 })).toEqual({ clean: false });
      expect(message.signal.aborted).toBe(true);
      rounds.push(message.ack());
    }
    expect(rounds).toEqual([false]);
    await expect.poll(() => broker.stats(numbers)).toMatchObject({ messages: 1 });
  });

  it('when the broker is closed', async () => {
    await using vhost = await createVhost();
    const broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(numbers);
    const loop = (async () => {
      for await (const message of consumer) message.ack();
      return 'ended';
    })();
    await consumer.ready;
    expect(await broker.close()).toEqual({ clean: true });
    expect(await loop).toBe('ended');
  });

  it('when the signal of the consumer aborts', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.producer(numbers).sendAll(upTo(3));
    const abort = new AbortController();
    const seen: number[] = [];
    for await (const { body } of broker.consumer(numbers, { signal: abort.signal })) {
      seen.push(body.n);
      if (body.n === 1) abort.abort();
    }
    expect(seen).toEqual([0, 1]);
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 1, consumers: 0 });
    for await (const message of broker.consumer(numbers, { signal: abort.signal })) expect.fail(message.id);
  });

  it('with the error when the consumer cannot go on', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const consumer = broker.consumer(
      queue('numbers', z.object({ n: z.number() }), { type: 'classic', deadLetter: false }),
    );
    const loop = (async () => {
      for await (const message of consumer) message.ack();
    })().catch((error: unknown) => error);
    await consumer.ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await vhost.management.deleteQueue('numbers');
    await other.channel.assertQueue('numbers', { arguments: { 'x-max-length': 5 } });
    await proxy.refuse(false);
    expect(await loop).toMatchObject({ name: 'TopologyError', code: 'MISMATCH' });
    expect(await consumer.closed).toMatchObject({ code: 'MISMATCH' });
  });

  it('with the error when the consumer could not start', async () => {
    await using broker = new Broker(`amqp://127.0.0.1:${await freePort()}`, { startupTimeoutMs: 100 });
    const loop = async () => {
      for await (const message of broker.consumer(numbers)) message.ack();
    };
    await expect(loop()).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });
});

describe('several loops', () => {
  it('over one consumer share its messages', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(numbers);
    const seen: number[][] = [[], [], []];
    const loops = seen.map(async (own) => {
      for await (const { body } of consumer) {
        own.push(body.n);
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    await consumer.ready;
    await broker.producer(numbers).sendAll(upTo(60));
    await expect.poll(() => consumer.stats.acked).toBe(60);
    await consumer.close();
    await Promise.all(loops);
    expect(seen.flat().toSorted((a, b) => a - b)).toEqual(upTo(60).map(({ n }) => n));
    for (const own of seen) expect(own.length).toBeGreaterThan(5);
  });

  it('go on when one of them is left', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(numbers, { prefetch: 1 });
    const seen: number[] = [];
    const stays = (async () => {
      for await (const { body } of consumer) {
        seen.push(body.n);
        if (seen.length === 3) break;
      }
    })();
    const leaves = (async () => {
      for await (const message of consumer) {
        message.ack();
        return message.body.n;
      }
      return undefined;
    })();
    const producer = broker.producer(numbers);
    for (const n of [0, 1, 2, 3]) await producer.send({ n });
    const left = await leaves;
    await stays;
    expect([left, ...seen].toSorted()).toEqual([0, 1, 2, 3]);
  });

  it('one after the other take up where the last one was left', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers);
    await producer.sendAll(upTo(6));
    const consumer = broker.consumer(numbers);
    const seen: number[] = [];
    for (let round = 0; round < 3; round++) {
      for await (const message of consumer) {
        seen.push(message.body.n);
        message.ack();
        if (seen.length % 2 === 0) break;
      }
      expect(consumer.state).toEqual({ status: 'idle' });
    }
    expect(seen.toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await consumer.close()).toEqual({ clean: true });
  });
});

describe('a consumer that its loop has left', () => {
  it('holds no channel and no message on the server', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    await broker.producer(numbers).sendAll(upTo(5));
    const consumer = broker.consumer(numbers);
    for await (const message of consumer) {
      message.ack();
      break;
    }
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 4, consumers: 0 });
    const [consume] = wire.of('basic.consume', 'to-server');
    const closes = wire
      .of('channel.close', 'to-server')
      .map(({ connection, channel }) => [connection, channel]);
    expect(closes).toContainEqual([consume?.connection, consume?.channel]);
    expect(broker.health()).toMatchObject({ status: 'up', consumers: [] });
    // An outage does not wake it.
    proxy.cutAll();
    await broker.producer(numbers).send({ n: 5 });
    await expect.poll(() => broker.stats(numbers)).toEqual({ messages: 5, consumers: 0 });
    expect(await broker.close()).toEqual({ clean: true });
    expect(await consumer.closed).toBeUndefined();
  });
});
