import { Broker, type Message, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { isVersion } from '../../helpers/versions.js';

const kinds = ['quorum', 'classic'] as const;
const numbers = (type: (typeof kinds)[number]) =>
  queue('numbers', z.object({ n: z.number() }), { type, retry: { initialDelayMs: 1 } });

/** From 4.3 on a quorum queue tells a message that failed from one that was given back unseen. */
const tellsThemApart = (type: (typeof kinds)[number]) => type === 'quorum' && isVersion('4.3');

describe.each(kinds)('the attempt of a message of a %s queue', (type) => {
  it('is 1, and 2 after its connection was lost', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    using working = gate();
    const runs: [number, boolean][] = [];
    await broker.consumer(numbers(type), async ({ attempt, redelivered }) => {
      runs.push([attempt, redelivered]);
      if (runs.length === 1) await working.opened;
    }).ready;
    await broker.producer(numbers(type)).send({ n: 1 });
    await expect.poll(() => runs.length).toBe(1);
    proxy.cutAll();
    await expect
      .poll(() => runs)
      .toEqual([
        [1, false],
        [2, true],
      ]);
    working.open();
  });

  it('is one more after each failed run, also over an outage between them', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
    // An acknowledgement that the cut takes away brings an attempt back, which then counts as one more.
    const attempts = new Set<number>();
    using working = gate();
    await broker.consumer(numbers(type), async ({ attempt }) => {
      const isFirst = !attempts.has(attempt);
      attempts.add(attempt);
      if (attempt === 3 && isFirst) await working.opened;
      if (attempt < 5) throw new Error('it failed');
    }).ready;
    await broker.producer(numbers(type)).send({ n: 1 });
    await expect.poll(() => [...attempts]).toEqual([1, 2, 3]);
    proxy.cutAll();
    await expect.poll(() => [...attempts]).toEqual([1, 2, 3, 4, 5]);
    working.open();
  });

  it('does not count that it was given back unseen, where the server can tell', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    using working = gate();
    const started: number[] = [];
    const consumer = broker.consumer(
      numbers(type),
      ({ body }) => {
        started.push(body.n);
        return working.opened;
      },
      { prefetch: 3 },
    );
    await consumer.ready;
    for (const n of [1, 2, 3]) await broker.producer(numbers(type)).send({ n });
    await expect.poll(() => consumer.stats.waiting).toBe(2);
    const closed = consumer.close();
    const seen: [number, number][] = [];
    broker.consumer(numbers(type), ({ body, attempt }) => void seen.push([body.n, attempt]));
    const expected = tellsThemApart(type) ? 1 : 2;
    await expect
      .poll(() => seen.toSorted())
      .toEqual([
        [2, expected],
        [3, expected],
      ]);
    expect(started).toEqual([1]);
    working.open();
    expect(await closed).toEqual({ clean: true });
  });

  it('does not count a requeue by the handler, where the server can tell', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const attempts: number[] = [];
    broker.consumer(numbers(type), (message: Message) => {
      attempts.push(message.attempt);
      if (attempts.length === 1) message.requeue();
    });
    await broker.producer(numbers(type)).send({ n: 1 });
    await expect.poll(() => attempts).toEqual([1, tellsThemApart(type) ? 1 : 2]);
  });
});
