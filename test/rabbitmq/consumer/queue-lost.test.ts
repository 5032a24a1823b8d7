import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost, startPrivateServer } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { isVersion } from '../../helpers/versions.js';
import { passing } from '../../helpers/waits.js';
import { ackFrame, WireLog } from '../../helpers/wire-log.js';

const number = z.object({ n: z.number() });

describe.each(['quorum', 'classic'] as const)('a consumer whose %s queue is deleted', (type) => {
  it('declares it again and consumes within two seconds', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    const numbers = queue('numbers', number, { type });
    const handled: number[] = [];
    const consumer = broker.consumer(numbers, ({ body }) => void handled.push(body.n));
    await consumer.ready;
    for (const n of [1, 2]) {
      const deletedAt = performance.now();
      await vhost.management.deleteQueue('numbers');
      await expect.poll(() => events.of('consumer-recovered').length).toBe(n);
      await broker.producer(numbers).send({ n });
      await expect.poll(() => handled).toContain(n);
      expect(performance.now() - deletedAt).toBeLessThan(2_000);
    }
    expect(consumer.state).toEqual({ status: 'running' });
    expect(events.of('disconnected')).toEqual([]);
  });

  it('aborts what it worked on, since it is lost', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const numbers = queue('numbers', number, { type });
    using stuck = gate();
    const signals: AbortSignal[] = [];
    const handled: number[] = [];
    const consumer = broker.consumer(numbers, async ({ body, signal }) => {
      signals.push(signal);
      if (body.n === 1) await stuck.opened;
      else handled.push(body.n);
    });
    await consumer.ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => signals.length).toBe(1);
    await vhost.management.deleteQueue('numbers');
    await expect.poll(() => signals[0]?.aborted).toBe(true);
    await broker.producer(numbers).send({ n: 2 });
    await expect.poll(() => handled).toEqual([2]);
    stuck.open();
    await expect.poll(() => consumer.stats.stale).toBe(1);
  });
});

describe('a consumer whose queue is gone', () => {
  it('fails when it finds it declared with other arguments', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const consumer = broker.consumer(
      queue('numbers', number, { type: 'classic', deadLetter: false }),
      () => undefined,
    );
    await consumer.ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await vhost.management.deleteQueue('numbers');
    await other.channel.assertQueue('numbers', { arguments: { 'x-max-length': 5 } });
    await proxy.refuse(false);
    const error = await consumer.closed;
    expect(error).toMatchObject({ name: 'TopologyError', code: 'MISMATCH', argument: 'x-max-length' });
    expect(consumer.state).toEqual({ status: 'closed', error });
    expect(await consumer.close()).toEqual({ clean: false });
    expect(broker.health()).toMatchObject({ status: 'degraded', consumers: [{ state: 'closed' }] });
    await consumer.ready;
  });

  it('waits for one that is not its own to declare', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    await other.channel.assertQueue('foreign');
    const handled: number[] = [];
    const foreign = queue('foreign', number, { declare: 'passive', type: 'classic' });
    const consumer = broker.consumer(foreign, ({ body }) => void handled.push(body.n));
    await consumer.ready;
    await other.channel.deleteQueue('foreign');
    await expect.poll(() => consumer.state.status).toBe('recovering');
    await other.channel.assertQueue('foreign');
    await other.put('foreign', { n: 1 });
    await expect.poll(() => handled, { timeout: 10_000 }).toEqual([1]);
  });
});

describe('a consumer whose channel the server closes', () => {
  it('opens another one: its message runs again there', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const events = recordEvents(broker);
    const numbers = queue('numbers', number, { type: 'classic' });
    using stuck = gate();
    const signals: AbortSignal[] = [];
    const runs: number[] = [];
    const consumer = broker.consumer(
      numbers,
      async ({ body, signal, redelivered }) => {
        runs.push(body.n);
        signals.push(signal);
        if (body.n === 1 && !redelivered) await stuck.opened;
      },
      { concurrency: 2 },
    );
    await consumer.ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => runs).toEqual([1]);

    // Together with its next acknowledgement the server gets one of a tag that it never gave: it closes the channel.
    const [consume] = wire.of('basic.consume', 'to-server');
    wire.append(consume?.connection ?? 0, ackFrame(consume?.channel ?? 0, 99n));
    await broker.producer(numbers).send({ n: 2 });
    await expect.poll(() => wire.of('channel.close', 'to-client').length).toBe(1);
    await expect.poll(() => runs).toEqual([1, 2, 1]);
    expect(signals[0]?.aborted).toBe(true);
    expect(events.of('consumer-recovered').length).toBe(1);
    expect(events.of('disconnected')).toEqual([]);
    stuck.open();
    await expect.poll(() => consumer.stats).toMatchObject({ stale: 1, inFlight: 0 });
  });
});

describe('a queue whose consumer timeout is shorter than the handler', { timeout: 60_000 }, () => {
  it('is asked for as much as the handler may take, which it grants from 4.3 on', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const own = isVersion('4.3') ? { 'x-consumer-timeout': 1_500 } : {};
    await broker.declare(queue('numbers', number, { arguments: own }));
    const numbers = queue('numbers', number, { declare: 'passive' });
    const runs: boolean[] = [];
    const consumer = broker.consumer(numbers, async ({ redelivered }) => {
      runs.push(redelivered);
      await passing(6_000, 'the handler takes longer than the queue would wait');
    });
    await consumer.ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => consumer.stats.acked, { timeout: 30_000 }).toBe(1);
    expect(runs).toEqual([false]);
  });
});

describe('a handler that takes longer than the server waits', { timeout: 100_000 }, () => {
  it('has its signal aborted and its message run again, and the consumer lives on', async () => {
    await using server = await startPrivateServer();
    await server.ctl(
      'eval',
      'application:set_env(rabbit, consumer_timeout, 1500), application:set_env(rabbit, channel_tick_interval, 500).',
    );
    await using broker = await Broker.connect(server.url);
    const events = recordEvents(broker);
    // From 4.3 on the queue has the limit.
    const own = isVersion('4.3', server.version) ? { 'x-consumer-timeout': 1_500 } : {};
    const numbers = queue('numbers', number, { arguments: own });
    using stuck = gate();
    const runs: { n: number; redelivered: boolean; signal: AbortSignal }[] = [];
    const consumer = broker.consumer(numbers, async ({ body, redelivered, signal }) => {
      runs.push({ n: body.n, redelivered, signal });
      if (runs.length === 1) await stuck.opened;
    });
    await consumer.ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => runs.length, { timeout: 20_000 }).toBe(2);
    expect(runs.map(({ n, redelivered }) => ({ n, redelivered }))).toEqual([
      { n: 1, redelivered: false },
      { n: 1, redelivered: true },
    ]);
    expect(runs[0]?.signal.aborted).toBe(true);
    expect(events.of('consumer-recovered').length).toBe(1);
    expect(events.of('disconnected')).toEqual([]);
    stuck.open();
    await expect.poll(() => consumer.stats).toMatchObject({ stale: 1, acked: 1, inFlight: 0 });
    await broker.producer(numbers).send({ n: 2 });
    await expect.poll(() => runs.at(-1)?.n).toBe(2);
  });
});
