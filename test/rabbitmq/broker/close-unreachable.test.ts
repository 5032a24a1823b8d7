import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { Broker, queue } from 'leveret';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
const inTimeMs = 1_500;

/** Every socket that this process dials while a test runs. */
let dialled: { readonly socket: Socket; readonly port: number | undefined }[] = [];
const onSocket = (message: unknown) => {
  const { socket } = message as { socket: Socket };
  const entry: { socket: Socket; port: number | undefined } = { socket, port: undefined };
  socket.once('connect', () => {
    entry.port = socket.remotePort;
  });
  dialled.push(entry);
};
beforeEach(() => {
  dialled = [];
  subscribe('net.client.socket', onSocket);
});
afterEach(() => void unsubscribe('net.client.socket', onSocket));

const socketsTo = ({ port }: TcpProxy) =>
  dialled.filter((it) => it.port === port && !it.socket.destroyed).length;

async function timed<T>(promise: Promise<T>): Promise<{ result: T; afterMs: number }> {
  const startedAt = performance.now();
  const result = await promise;
  return { result, afterMs: performance.now() - startedAt };
}

describe('closing a broker', () => {
  it('while it is connecting to a peer that says nothing', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    proxy.blackhole(true);
    const broker = new Broker(proxy.via(vhost.url));
    const failure = broker.connect().catch((error: unknown) => error);
    const sent = broker
      .producer(numbers)
      .send({ n: 1 })
      .catch((error: unknown) => error);
    await expect.poll(() => socketsTo(proxy)).toBe(1);

    const { result, afterMs } = await timed(broker.close({ timeoutMs: 300 }));
    expect(result).toEqual({ clean: false });
    expect(afterMs).toBeLessThan(inTimeMs);
    expect(await failure).toMatchObject({ code: 'CLOSED' });
    expect(await sent).toMatchObject({ code: 'CLOSED', maybeDelivered: false });
    expect(socketsTo(proxy)).toBe(0);
  });

  it('while it is connecting, with nothing to wait for', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    proxy.blackhole(true);
    const broker = new Broker(proxy.via(vhost.url));
    const failure = broker.connect().catch((error: unknown) => error);
    await expect.poll(() => socketsTo(proxy)).toBe(1);
    const { result, afterMs } = await timed(broker.close());
    expect(result).toEqual({ clean: true });
    expect(afterMs).toBeLessThan(inTimeMs);
    expect(await failure).toMatchObject({ code: 'CLOSED' });
    expect(socketsTo(proxy)).toBe(0);
    proxy.blackhole(false);
    expect(proxy.accepted).toBe(1);
  });

  it('while the server is away, without waiting for it', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const broker = await Broker.connect(proxy.via(vhost.url));
    const events = recordEvents(broker);
    const consumer = broker.consumer(numbers, () => undefined);
    await consumer.ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => events.of('connect-failed').length).toBeGreaterThan(0);
    const { result, afterMs } = await timed(broker.close());
    expect(result).toEqual({ clean: true });
    expect(afterMs).toBeLessThan(inTimeMs);
    expect(await consumer.closed).toBeUndefined();
  });

  it('while the server is away and sends wait for it, at the deadline', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const broker = await Broker.connect(proxy.via(vhost.url));
    const producer = broker.producer(numbers);
    await producer.send({ n: 0 });
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => broker.state.status).toBe('reconnecting');
    const sent = producer.send({ n: 1 }).catch((error: unknown) => error);
    const { result, afterMs } = await timed(broker.close({ timeoutMs: 300 }));
    expect(result).toEqual({ clean: false });
    expect(afterMs).toBeLessThan(inTimeMs);
    expect(await sent).toMatchObject({ code: 'CLOSED', maybeDelivered: false });
    await proxy.refuse(false);
    await expect(producer.send({ n: 2 })).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('while nothing passes any more, at the deadline, dropping its sockets', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const broker = await Broker.connect(proxy.via(vhost.url));
    const producer = broker.producer(numbers);
    using stuck = gate();
    const signals: AbortSignal[] = [];
    await broker.consumer(numbers, ({ signal }) => {
      signals.push(signal);
      return stuck.opened;
    }).ready;
    await producer.send({ n: 0 });
    await expect.poll(() => signals.length).toBe(1);
    expect(socketsTo(proxy)).toBe(2);
    proxy.blackhole(true);
    const sent = producer.send({ n: 1 }).catch((error: unknown) => error);

    const { result, afterMs } = await timed(broker.close({ timeoutMs: 300 }));
    expect(result).toEqual({ clean: false });
    expect(afterMs).toBeLessThan(inTimeMs);
    expect(await sent).toMatchObject({ code: 'CLOSED', maybeDelivered: true });
    expect(signals[0]?.aborted).toBe(true);
    expect(socketsTo(proxy)).toBe(0);
    stuck.open();
  });

  it('while the copy of a failed message waits for its confirm, at the deadline, and without losing the message', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const failing = queue('failing', z.string(), { retry: { attempts: 3, initialDelayMs: 100 } });
    const broker = await Broker.connect(proxy.via(vhost.url));
    const runs: string[] = [];
    const consumer = broker.consumer(failing, ({ body }) => {
      runs.push(body);
      if (body === 'last') proxy.freeze();
      throw new Error('failed');
    });
    await consumer.ready;
    await using other = await Broker.connect(vhost.url);
    const producer = other.producer(failing);
    // From here on its delay is declared.
    await producer.send('first');
    await expect.poll(() => runs.length, { timeout: 20_000 }).toBe(3);
    await producer.send('last');
    await expect.poll(() => consumer.stats.retried).toBe(3);

    const { result, afterMs } = await timed(broker.close({ timeoutMs: 300 }));
    expect(result).toEqual({ clean: false });
    expect(afterMs).toBeLessThan(inTimeMs);
    proxy.thaw();
    await using _successor = other.consumer(failing, ({ body }) => void runs.push(`successor: ${body}`));
    await expect.poll(() => runs, { timeout: 20_000 }).toContain('successor: last');
  });

  it('in the middle of a reconnect', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 1 } });
    await broker.consumer(numbers, () => undefined).ready;
    proxy.blackhole(true);
    proxy.cutAll();
    await expect.poll(() => proxy.accepted).toBe(4);
    const { result, afterMs } = await timed(broker.close());
    expect(result).toEqual({ clean: true });
    expect(afterMs).toBeLessThan(inTimeMs);
    expect(socketsTo(proxy)).toBe(0);
  });
});
