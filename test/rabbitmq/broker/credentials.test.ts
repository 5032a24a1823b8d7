import { Broker, queue } from 'leveret';
import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost, type TestVhost } from '../../helpers/server/index.js';
import { freePort } from '../../helpers/server/ports.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const notes = queue('notes', z.object({ text: z.string() }));
const soon = { initialDelayMs: 10, maxDelayMs: 100 };

/** A user of one test alone. */
async function createUser({ management, name }: TestVhost, password: string) {
  const username = `user-${name}`;
  const everything = { configure: '.*', write: '.*', read: '.*' };
  await management.createUser(username, password, everything);
  return {
    username,
    setPassword: (next: string) => management.createUser(username, next),
    [Symbol.asyncDispose]: () => management.deleteUser(username),
  };
}

describe('the credentials function', () => {
  it('is asked before every attempt to connect, at the start and after each loss', async () => {
    await using vhost = await createVhost();
    await using user = await createUser(vhost, 'secret');
    await using proxy = await TcpProxy.listen(vhost.url);
    const credentials = vi.fn(async () => ({ username: user.username, password: 'secret' }));
    await using broker = new Broker(proxy.via(vhost.url), { credentials, reconnect: soon });
    const events = recordEvents(broker);
    await proxy.refuse(true);
    const connected = broker.connect();
    await expect.poll(() => events.of('connect-failed').length).toBeGreaterThan(1);
    await proxy.refuse(false);
    await connected;
    expect(credentials).toHaveBeenCalledTimes(events.of('connect-failed').length + 1);

    const before = credentials.mock.calls.length;
    proxy.cutAll();
    await expect.poll(() => events.of('connected').length).toBe(2);
    expect(credentials.mock.calls.length).toBeGreaterThan(before);
  });

  it('takes the place of the user in the URL', async () => {
    await using vhost = await createVhost();
    await using user = await createUser(vhost, 'p@ss/wörd');
    const url = vhost.url.replace('guest:guest@', 'unknown:nothing@');
    await using broker = await Broker.connect(url, {
      credentials: () => ({ username: user.username, password: 'p@ss/wörd' }),
    });
    const users = async () => (await vhost.management.connections()).map((connection) => connection.user);
    expect(broker.state.status).toBe('connected');
    await expect.poll(users, { timeout: 15_000 }).toEqual([user.username]);
  });

  it('may answer with a new password after the old one was changed', async () => {
    await using vhost = await createVhost();
    await using user = await createUser(vhost, 'old');
    await using proxy = await TcpProxy.listen(vhost.url);
    let password = 'old';
    await using broker = await Broker.connect(proxy.via(vhost.url), {
      credentials: () => ({ username: user.username, password }),
      reconnect: soon,
    });
    const events = recordEvents(broker);
    await user.setPassword('new');
    proxy.cutAll();
    // Refused after the start, it goes on trying, and says so.
    await expect
      .poll(() => events.of('connect-failed').at(-1))
      .toMatchObject({ error: { code: 'ACCESS_REFUSED' } });
    password = 'new';
    await expect.poll(() => broker.state.status, { timeout: 5_000 }).toBe('connected');
    await broker.producer(notes).send({ text: 'still here' });
    expect(events.of('disconnected').length).toBe(1);
  });

  const sealed = () => {
    throw new Error('the vault is sealed');
  };
  it.each([
    ['throws', sealed, /credentials function failed/],
    ['never answers', () => new Promise<never>(() => undefined), /no answer/],
  ])('that %s fails the start when its time is over', async (_what, credentials, reason) => {
    await using vhost = await createVhost();
    const startedAt = performance.now();
    await expect(Broker.connect(vhost.url, { credentials, startupTimeoutMs: 500 })).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(reason),
    });
    expect(performance.now() - startedAt).toBeLessThan(1_500);
  });

  it('is not asked by a broker that was closed', async () => {
    const credentials = vi.fn(async () => ({ username: 'guest', password: 'guest' }));
    const broker = new Broker(`amqp://127.0.0.1:${await freePort()}`, { credentials });
    await broker.close();
    await expect(broker.connect()).rejects.toMatchObject({ code: 'CLOSED' });
    expect(credentials).not.toHaveBeenCalled();
  });
});

describe('a password that expires', () => {
  it('is followed by the next one in time, on the connections that are open', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    const passwords: string[] = [];
    await using broker = await Broker.connect(proxy.via(vhost.url), {
      credentials: () => {
        // The first is the real one. This server does not check the others, since its users do not expire.
        passwords.push(passwords.length === 0 ? 'guest' : `secret ${passwords.length}`);
        return {
          username: 'guest',
          password: passwords.at(-1) as string,
          expiresAt: new Date(Date.now() + (passwords.length > 2 ? 3_600_000 : 1_500)),
        };
      },
    });
    const events = recordEvents(broker);

    await expect
      .poll(() => wire.of('connection.update-secret-ok', 'to-client').length, { timeout: 10_000 })
      .toBe(2);
    const sent = wire.of('connection.update-secret').map(({ payload }) => payload.toString());
    expect(sent).toEqual([expect.stringContaining('secret 1'), expect.stringContaining('secret 2')]);
    expect(passwords).toEqual(['guest', 'secret 1', 'secret 2']);
    await broker.producer(notes).send({ text: 'the connection is the same' });
    expect(events.names).toEqual([]);
    expect(proxy.accepted).toBe(1);
  });
});
