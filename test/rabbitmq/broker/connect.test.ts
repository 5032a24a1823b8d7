import net from 'node:net';
import { Broker, queue } from 'leveret';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const notes = queue('notes', z.object({ text: z.string() }));

afterEach(() => void vi.restoreAllMocks());

describe('a broker that connects', () => {
  it('does no I/O when it is made, and connects once however often it is asked', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = new Broker(proxy.via(vhost.url));
    broker.producer(notes);
    expect(broker.state).toEqual({ status: 'idle' });
    const events = recordEvents(broker);

    const connecting = [broker.connect(), broker.connect()];
    expect(broker.state.status).toBe('connecting');
    await Promise.all(connecting);
    await broker.connect();

    expect(proxy.accepted).toBe(1);
    expect(broker.state).toMatchObject({ status: 'connected' });
    expect(events.names).toEqual(['connected']);
  });

  it('shows its name and role on each of its connections, and agrees on a heartbeat with the server', async () => {
    await using vhost = await createVhost();
    await using billing = await Broker.connect(vhost.url, { name: 'billing' });
    await using unnamed = new Broker(vhost.url, { heartbeatSeconds: 3 });
    await Promise.all([billing, unnamed].map((broker) => broker.consumer(notes, () => undefined).ready));
    const listed = async () => {
      const connections = await vhost.management.connections();
      return connections
        .map(({ client_properties, timeout }) => `${client_properties?.connection_name}: ${timeout} s`)
        .sort();
    };
    await expect
      .poll(listed, { timeout: 15_000 })
      .toEqual(['billing (consume): 10 s', 'billing (publish): 10 s', 'leveret (consume): 3 s']);
  });

  it('opens a second connection only when something consumes', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    await broker.producer(notes).send({ text: 'one connection is enough' });
    await broker.declare(queue('more notes', z.string()));
    expect(proxy.accepted).toBe(1);

    await broker.consumer(notes, () => undefined).ready;
    expect(proxy.accepted).toBe(2);
    await broker.consumer(notes, () => undefined).ready;
    await broker.producer(notes).send({ text: 'two are enough' });
    expect(proxy.accepted).toBe(2);
  });

  it('writes to the socket at once and keeps idle connections alive', async () => {
    await using vhost = await createVhost();
    const connect = vi.spyOn(net, 'connect');
    await using broker = await Broker.connect(vhost.url);
    const [options] = connect.mock.calls.map(([first]) => first as unknown);
    expect(options).toMatchObject({ noDelay: true, keepAlive: true });

    // A body that takes a second write waits for the acknowledgement of the first, up to 40 ms, without TCP_NODELAY.
    const producer = broker.producer(queue('large', z.object({ text: z.string() }), { type: 'classic' }));
    const durations: number[] = [];
    for (let n = 0; n < 15; n++) {
      const startedAt = performance.now();
      await producer.send({ text: 'x'.repeat(3_000) });
      durations.push(performance.now() - startedAt);
    }
    expect(durations.sort((a, b) => a - b)[7]).toBeLessThan(35);
  });

  it('sends on a connection that it opens by itself', async () => {
    await using vhost = await createVhost();
    await using broker = new Broker(vhost.url);
    await expect(broker.producer(notes).send({ text: 'first' })).resolves.toMatchObject({
      messageId: expect.any(String),
    });
    expect(broker.state.status).toBe('connected');
  });

  it('closes itself at the end of its block', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    let kept: Broker;
    {
      await using broker = await Broker.connect(proxy.via(vhost.url));
      kept = broker;
      expect(kept.state.status).toBe('connected');
    }
    expect(kept.state).toEqual({ status: 'closed' });
    await expect.poll(() => proxy.connections).toBe(0);
  });
});
