import { Broker, BufferFullError, ClosedError, queue, TimeoutError } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost, queueDepth } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { type: 'classic', deadLetter: false });

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('It was sent.'),
    (error: unknown) => error,
  );

/** A producer that has sent once, through a proxy. */
async function producerThrough(proxy: TcpProxy, url: string, options?: Parameters<Broker['producer']>[1]) {
  const broker = await Broker.connect(proxy.via(url), { reconnect: { initialDelayMs: 10 } });
  const producer = broker.producer(numbers, options);
  await producer.send({ n: 0 });
  return {
    broker,
    producer,
    [Symbol.asyncDispose]: () => broker.close({ timeoutMs: 0 }).then(() => undefined),
  };
}

describe('a send', () => {
  it('times out as surely not sent while the server is away', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await producerThrough(proxy, vhost.url);
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => it.broker.state.status).toBe('reconnecting');
    const startedAt = performance.now();
    const error = await failure(it.producer.send({ n: 1 }, { timeoutMs: 300 }));
    const afterMs = performance.now() - startedAt;
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ code: 'TIMEOUT', maybeDelivered: false, retryable: true });
    expect(afterMs).toBeGreaterThanOrEqual(300);
    expect(afterMs).toBeLessThan(1_000);
    const impatient = it.broker.producer(numbers, { timeoutMs: 50 });
    expect(await failure(impatient.send({ n: 2 }))).toMatchObject({ code: 'TIMEOUT', maybeDelivered: false });
    expect(it.producer.pending).toBe(0);
    await proxy.refuse(false);
    // Both producers share their options.
    await it.producer.send({ n: 3 }, { timeoutMs: 30_000 });
    // What timed out as not sent does not turn up.
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(2);
  });

  it('times out as perhaps delivered when its confirm does not come', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await producerThrough(proxy, vhost.url);
    proxy.blackhole('to-client');
    const error = await failure(it.producer.send({ n: 1 }, { timeoutMs: 300 }));
    expect(error).toBeInstanceOf(TimeoutError);
    expect(error).toMatchObject({ code: 'TIMEOUT', maybeDelivered: true });
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(2);
    proxy.blackhole(false);
    await it.producer.send({ n: 2 });
  });

  it('is refused by a closed producer as surely not sent', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers);
    await producer.close();
    const error = await failure(producer.send({ n: 1 }));
    expect(error).toBeInstanceOf(ClosedError);
    expect(error).toMatchObject({
      code: 'CLOSED',
      maybeDelivered: false,
      message: expect.stringMatching(/numbers/),
    });
  });

  it('is settled with whether it may have arrived when its broker is dropped', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await producerThrough(proxy, vhost.url, { maxInFlight: 1 });
    proxy.blackhole('to-client');
    const errors = Promise.all([failure(it.producer.send({ n: 1 })), failure(it.producer.send({ n: 2 }))]);
    await it.broker.close({ timeoutMs: 50 });
    expect(await errors).toMatchObject([
      { code: 'CLOSED', maybeDelivered: true },
      { code: 'CLOSED', maybeDelivered: false },
    ]);
  });

  it('is closed, with the reason, when the start fails', async () => {
    await using broker = new Broker('amqp://127.0.0.1:1', { startupTimeoutMs: 100 });
    const error = await failure(broker.producer(numbers).send({ n: 1 }));
    expect(error).toMatchObject({
      code: 'CLOSED',
      maybeDelivered: false,
      cause: { code: 'CONNECTION_FAILED' },
    });
  });
});

describe('while the server is away', () => {
  it('10 000 of 200 000 sends wait and arrive later, and the rest is refused at once', {
    timeout: 60_000,
  }, async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await producerThrough(proxy, vhost.url);
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => it.broker.state.status).toBe('reconnecting');

    let full = 0;
    const others: unknown[] = [];
    const accepted: Promise<unknown>[] = [];
    const heapBefore = process.memoryUsage().heapUsed;
    for (let n = 1; n <= 200_000; n++) {
      const before = it.producer.pending;
      const sent = it.producer.send({ n });
      if (it.producer.pending > before) accepted.push(sent);
      else
        void sent.catch((error: unknown) => (error instanceof BufferFullError ? full++ : others.push(error)));
      if (n % 5_000 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(full).toBe(190_000);
    expect(others).toEqual([]);
    expect(it.producer.pending).toBe(10_000);
    expect((process.memoryUsage().heapUsed - heapBefore) / 2 ** 20).toBeLessThan(150);
    expect(await failure(it.producer.send({ n: 0 }))).toMatchObject({ code: 'BUFFER_FULL', retryable: true });

    await proxy.refuse(false);
    await Promise.all(accepted);
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(10_001);
    await it.producer.send({ n: 200_001 });
  });

  it('no more than 64 MiB wait', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await producerThrough(proxy, vhost.url);
    const bytes = queue('bytes', z.instanceof(Uint8Array), {
      codec: 'bytes',
      type: 'classic',
      deadLetter: false,
    });
    const producer = it.broker.producer(bytes);
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => it.broker.state.status).toBe('reconnecting');
    const body = new Uint8Array(1_000_000);
    const outcomes = Array.from({ length: 80 }, () => failure(producer.send(body)));
    expect(producer.pending).toBeGreaterThan(60);
    expect(producer.pending).toBeLessThan(68);
    expect(await outcomes.at(-1)).toBeInstanceOf(BufferFullError);
  });

  it('as many wait as the producer is told to keep', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await producerThrough(proxy, vhost.url, { maxBuffered: 3 });
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => it.broker.state.status).toBe('reconnecting');
    const outcomes = [1, 2, 3, 4].map((n) => failure(it.producer.send({ n }, { timeoutMs: 200 })));
    expect(it.producer.pending).toBe(3);
    expect((await Promise.all(outcomes)).map((error) => (error as { code: string }).code)).toEqual([
      'TIMEOUT',
      'TIMEOUT',
      'TIMEOUT',
      'BUFFER_FULL',
    ]);
  });
});

describe('a producer', () => {
  it('publishes no more than maxInFlight ahead of their confirms', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using it = await producerThrough(proxy, vhost.url, { maxInFlight: 10 });
    await it.broker.purge(numbers);
    proxy.blackhole('to-client');
    const sends = Array.from({ length: 30 }, (_, n) => it.producer.send({ n }));
    // All ten went out before any confirm came.
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(10);
    expect(it.producer.pending).toBe(30);
    expect(it.broker.health().producers).toMatchObject([{ target: 'numbers', pending: 30, inFlight: 10 }]);
    expect(await queueDepth(vhost.url, 'numbers')).toBe(10);
    proxy.blackhole(false);
    await Promise.all(sends);
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(30);
  });
});
