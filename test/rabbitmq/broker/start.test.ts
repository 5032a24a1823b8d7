import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { Broker, ConnectionError } from 'leveret';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { freePort, freePorts } from '../../helpers/server/ports.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

/** What a start was rejected with, and how long that took. */
async function failedStart(...args: Parameters<typeof Broker.connect>) {
  const startedAt = performance.now();
  const error: unknown = await Broker.connect(...args).then(
    async (broker) => {
      await broker.close();
      throw new Error('It connected.');
    },
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ConnectionError);
  return { error: error as ConnectionError, afterMs: performance.now() - startedAt };
}

/** A program that listens on a port and is not RabbitMQ. */
async function stranger(onSocket: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket.on('error', () => undefined));
    onSocket(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    sockets,
    url: `amqp://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

afterEach(() => void vi.restoreAllMocks());

describe('a start that fails', () => {
  it('names every host and why it failed, after the time that it was given', async () => {
    const ports = await freePorts(2);
    const urls = ports.map((port) => `amqp://guest:guest@127.0.0.1:${port}`);
    const { error, afterMs } = await failedStart(urls, { startupTimeoutMs: 800 });
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true });
    for (const port of ports) {
      expect(error.message).toContain(`127.0.0.1:${port}: connect ECONNREFUSED`);
      expect(error.attempts).toContainEqual({
        address: expect.stringContaining(`${port}`),
        reason: expect.stringContaining('ECONNREFUSED'),
      });
    }
    expect(afterMs).toBeGreaterThan(600);
    expect(afterMs).toBeLessThan(1_500);
  });

  it('uses all of its time, also when the pauses between the attempts have grown long', async () => {
    await using hangsUp = await stranger((socket) => socket.destroy());
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    const { afterMs } = await failedStart(hangsUp.url, {
      startupTimeoutMs: 1_000,
      reconnect: { initialDelayMs: 5_000 },
    });
    expect(hangsUp.sockets.length).toBeGreaterThan(2);
    expect(afterMs).toBeGreaterThan(800);
    expect(afterMs).toBeLessThan(1_800);
  });

  it('was tried again and again before', async () => {
    await using hangsUp = await stranger((socket) => socket.destroy());
    const { error } = await failedStart(hangsUp.url, {
      startupTimeoutMs: 600,
      reconnect: { initialDelayMs: 10, factor: 1 },
    });
    expect(error.code).toBe('CONNECTION_FAILED');
    expect(hangsUp.sockets.length).toBeGreaterThan(3);
  });

  it('has a deadline of its own when a peer accepts and says nothing, and leaves no socket behind', async () => {
    await using silent = await stranger(() => undefined);
    const { error, afterMs } = await failedStart(silent.url, { startupTimeoutMs: 500 });
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED', message: expect.stringMatching(/no answer/) });
    expect(afterMs).toBeLessThan(1_500);
    const [socket] = silent.sockets;
    socket?.resume();
    await expect.poll(() => socket?.destroyed).toBe(true);
  });

  it('says so when the peer is no RabbitMQ', async () => {
    await using web = await stranger((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    const { error } = await failedStart(web.url, { startupTimeoutMs: 400 });
    expect(error.code).toBe('CONNECTION_FAILED');
  });
});

describe('a start that cannot succeed is rejected at once', () => {
  const longTime = { startupTimeoutMs: 30_000 };
  const atOnceMs = 2_000;

  it('for a wrong password', async () => {
    await using vhost = await createVhost();
    const url = vhost.url.replace('guest:guest@', 'guest:wrong@');
    const { error, afterMs } = await failedStart(url, longTime);
    expect(error).toMatchObject({ code: 'ACCESS_REFUSED', retryable: false });
    expect(afterMs).toBeLessThan(atOnceMs);
  });

  it('for an unknown virtual host', async () => {
    await using vhost = await createVhost();
    const { error, afterMs } = await failedStart(`${vhost.url}-missing`, longTime);
    expect(error).toMatchObject({ code: 'VHOST_NOT_FOUND', message: expect.stringContaining('not found') });
    expect(afterMs).toBeLessThan(atOnceMs);
  });

  it('for a virtual host that the user has no right to', async () => {
    await using vhost = await createVhost();
    const name = `stranger-${vhost.name}`;
    await vhost.management.createUser(name, 'secret');
    try {
      const { error, afterMs } = await failedStart(
        vhost.url.replace('guest:guest@', `${name}:secret@`),
        longTime,
      );
      expect(error).toMatchObject({
        code: 'ACCESS_REFUSED',
        message: expect.stringContaining('refused for'),
      });
      expect(afterMs).toBeLessThan(atOnceMs);
    } finally {
      await vhost.management.deleteUser(name);
    }
  });

  it('for a virtual host that takes no more connections', async () => {
    await using vhost = await createVhost();
    await vhost.management.setVhostLimit('max-connections', 0);
    const { error, afterMs } = await failedStart(vhost.url, longTime);
    expect(error).toMatchObject({
      code: 'ACCESS_REFUSED',
      message: expect.stringMatching(/connection limit/),
    });
    expect(afterMs).toBeLessThan(atOnceMs);
  });

  it.each([
    'not a URL',
    '',
    'http://127.0.0.1',
    'amqp://127.0.0.1:99999',
    'amqp://guest:%zz@127.0.0.1',
    'amqp://127.0.0.1/a/b',
    'amqp://127.0.0.1?heartbeat=0',
  ])('for the malformed URL %j', async (url) => {
    const { error, afterMs } = await failedStart(url, longTime);
    expect(error).toMatchObject({ code: 'INVALID_URL', retryable: false });
    expect(afterMs).toBeLessThan(atOnceMs);
  });

  it('for one malformed URL among others', async () => {
    await using vhost = await createVhost();
    const { error } = await failedStart([vhost.url, 'amqp//typo'], longTime);
    expect(error.code).toBe('INVALID_URL');
  });

  it('for TLS to a port without it', async () => {
    await using vhost = await createVhost();
    const { error, afterMs } = await failedStart(vhost.url.replace('amqp:', 'amqps:'), longTime);
    expect(error).toMatchObject({ code: 'TLS_REFUSED' });
    expect(afterMs).toBeLessThan(atOnceMs);
  });
});

describe('a start with several hosts', () => {
  it('moves on from one that refuses, whichever is tried first', async () => {
    await using vhost = await createVhost();
    const dead = vhost.url.replace(/:\d+\//, `:${await freePort()}/`);
    // With this the order is the same each time: one of the two lists begins with the dead host.
    vi.spyOn(Math, 'random').mockReturnValue(0);
    for (const urls of [
      [dead, vhost.url],
      [vhost.url, dead],
    ]) {
      const startedAt = performance.now();
      await using broker = await Broker.connect(urls);
      expect(broker.state.status).toBe('connected');
      expect(performance.now() - startedAt).toBeLessThan(2_000);
    }
  });

  it('moves on from one that hangs up in the handshake', async () => {
    await using vhost = await createVhost();
    await using hangsUp = await stranger((socket) => socket.once('data', () => socket.destroy()));
    vi.spyOn(Math, 'random').mockReturnValue(0);
    for (const urls of [
      [hangsUp.url, vhost.url],
      [vhost.url, hangsUp.url],
    ]) {
      await using broker = await Broker.connect(urls);
      expect(broker.state.status).toBe('connected');
    }
    expect(hangsUp.sockets.length).toBe(1);
  });

  it('tries them in random order, so that not all clients go to the first', async () => {
    await using vhost = await createVhost();
    await using first = await TcpProxy.listen(vhost.url);
    await using second = await TcpProxy.listen(vhost.url);
    const urls = [first.via(vhost.url), second.via(vhost.url)];
    const random = vi.spyOn(Math, 'random');
    for (const value of [0, 0.99]) {
      random.mockReturnValue(value);
      await using broker = await Broker.connect(urls);
      expect(broker.state.status).toBe('connected');
    }
    expect({ first: first.accepted, second: second.accepted }).toEqual({ first: 1, second: 1 });
  });
});

describe('a server that comes up while the broker starts', () => {
  it('is connected to as soon as it is there', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await proxy.refuse(true);
    await using broker = new Broker(proxy.via(vhost.url), { startupTimeoutMs: 20_000 });
    const events = recordEvents(broker);
    const connected = broker.connect();
    await expect.poll(() => events.of('connect-failed').length).toBeGreaterThan(2);
    expect(broker.state).toMatchObject({ status: 'connecting', error: { code: 'CONNECTION_FAILED' } });

    const openedAt = performance.now();
    await proxy.refuse(false);
    await connected;
    expect(performance.now() - openedAt).toBeLessThan(1_200);
    expect(events.of('connected').length).toBe(1);
    expect(events.of('disconnected')).toEqual([]);
  });

  it('is waited for without end when the time is Infinity, until the broker is closed', async () => {
    await using broker = new Broker(`amqp://127.0.0.1:${await freePort()}`, {
      startupTimeoutMs: Number.POSITIVE_INFINITY,
      reconnect: { initialDelayMs: 1, refusedMaxDelayMs: 10 },
    });
    const events = recordEvents(broker);
    const failure = broker.connect().catch((error: unknown) => error);
    await expect.poll(() => events.of('connect-failed').length).toBeGreaterThan(10);
    await broker.close();
    expect(await failure).toMatchObject({ code: 'CLOSED' });
  });

  it('can be waited for with a signal, whose reason comes back', async () => {
    const abort = new AbortController();
    const reason = new Error('shutting down');
    const connected = Broker.connect(`amqp://127.0.0.1:${await freePort()}`, { signal: abort.signal });
    abort.abort(reason);
    await expect(connected).rejects.toBe(reason);
    await expect(Broker.connect('amqp://127.0.0.1', { signal: abort.signal })).rejects.toBe(reason);
  });
});
