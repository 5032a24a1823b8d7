import { inspect } from 'node:util';
import { Broker, type BrokerOptions, queue } from 'leveret';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { freePort } from '../../helpers/server/ports.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { type Certificates, makeCertificates, serveTls } from '../../helpers/tls-server.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { retry: false });
const canary = 'canary-7f3a/&%41';
/** How it may look once something has been done to it. */
const forms = [
  'canary',
  Buffer.from(canary).toString('base64').slice(0, 10),
  Buffer.from('canary').toString('hex'),
];

/** Everything that could be read of values: hidden properties, getters, causes, stacks, bytes. */
function expectNoSecret(...values: readonly unknown[]): void {
  for (const value of values) {
    const text = inspect(value, {
      depth: Number.POSITIVE_INFINITY,
      showHidden: true,
      getters: true,
      maxStringLength: null,
      maxArrayLength: null,
    });
    for (const form of forms) expect(text).not.toContain(form);
    // Bytes are shown one by one.
    expect(text).not.toContain(
      Buffer.from('canary')
        .toString('hex')
        .replaceAll(/..(?!$)/g, '$& '),
    );
  }
}

const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('it worked'),
    (error: unknown) => error,
  );

/** A broker whose every word is kept. */
function listenedTo(url: string, options: BrokerOptions = {}) {
  const lines: unknown[] = [];
  const log = (...line: unknown[]) => void lines.push(line);
  const broker = new Broker(url, {
    name: 'secretive',
    logger: { debug: log, info: log, warn: log, error: log },
    reconnect: { initialDelayMs: 10, maxDelayMs: 50 },
    startupTimeoutMs: 1_500,
    ...options,
  });
  const events = recordEvents(broker);
  return {
    broker,
    events,
    expectNoSecret(...more: readonly unknown[]) {
      expectNoSecret(broker, broker.state, broker.health(), events.all, lines, ...more);
    },
  };
}

const withPassword = (url: string) => url.replace('guest:guest@', `guest:${encodeURIComponent(canary)}@`);
const credentials = () => ({ username: 'guest', password: canary });

describe('a password that must not be seen', () => {
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = await makeCertificates();
  });

  it('is not seen when the server refuses it, by either way in', async () => {
    await using vhost = await createVhost();
    for (const [url, options] of [
      [withPassword(vhost.url), {}],
      [vhost.url, { credentials }],
    ] as const) {
      const it = listenedTo(url, options);
      const producer = it.broker.producer(numbers);
      const consumer = it.broker.consumer(numbers, () => undefined);
      const errors = await Promise.all([
        failureOf(it.broker.connect()),
        failureOf(producer.send({ n: 1 })),
        failureOf(consumer.ready),
        failureOf(it.broker.stats(numbers)),
        failureOf(it.broker.declare(numbers)),
      ]);
      it.expectNoSecret(errors, producer, consumer, await consumer.closed);
      await it.broker.close();
      it.expectNoSecret();
    }
  });

  it('is not seen while a peer says nothing, nor when it says nonsense', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const url = withPassword(proxy.via(vhost.url));
    proxy.blackhole(true);
    const silent = listenedTo(url, { startupTimeoutMs: 300 });
    silent.expectNoSecret(await failureOf(silent.broker.connect()));
    await silent.broker.close();
    proxy.blackhole(false);
    // It echoes what it hears, the answer with the password included.
    proxy.intercept((chunk, direction) =>
      direction === 'to-client' ? [chunk, Buffer.from(canary)] : [chunk],
    );
    const echoing = listenedTo(url, { startupTimeoutMs: 300 });
    const error = await failureOf(echoing.broker.connect());
    echoing.expectNoSecret(error);
    await echoing.broker.close();
  });

  it('is not seen when TLS is refused, nor is the key of the client', async () => {
    await using vhost = await createVhost();
    const key = certificates.client.key.split('\n')[1] as string;
    for (const [name, ca] of [
      ['valid', undefined],
      ['otherHost', certificates.ca],
      ['expired', certificates.ca],
    ] as const) {
      await using secure = await serveTls(vhost.url, certificates[name]);
      const tls = { ...certificates.client, ...(ca ? { ca } : {}), passphrase: canary };
      const it = listenedTo(withPassword(secure.url), { tls });
      const error = await failureOf(it.broker.connect());
      expect(error).toMatchObject({ code: 'TLS_REFUSED' });
      it.expectNoSecret(error);
      const shown = inspect([error, it.broker, it.events.all], {
        depth: Number.POSITIVE_INFINITY,
        showHidden: true,
      });
      expect(shown).not.toContain(key);
      await it.broker.close();
    }
    const clear = listenedTo(withPassword(vhost.url.replace('amqp:', 'amqps:')), {
      tls: { passphrase: canary },
    });
    clear.expectNoSecret(await failureOf(clear.broker.connect()));
    await clear.broker.close();
  });

  it('is not seen when a key cannot be read', async () => {
    const tls = { key: `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----`, cert: canary };
    const it = listenedTo(`amqps://127.0.0.1:${await freePort()}`, { tls, startupTimeoutMs: 200 });
    it.expectNoSecret(await failureOf(it.broker.connect()));
    await it.broker.close();
  });

  it('is not seen in options that are wrong', async () => {
    const attempts: (() => unknown)[] = [
      () => new Broker('memory:', { credentials: canary } as never),
      () => new Broker('memory:', { credentials: { username: 'a', password: canary } } as never),
      () => new Broker('memory:', { tls: canary } as never),
      () => new Broker('memory:', { password: canary } as never),
      () => new Broker([`amqp://guest:${canary}@host`, 5] as never),
      () => new Broker({ url: `amqp://guest:${canary}@host` } as never),
      () => new Broker('amqp://localhost', { tls: { passphrase: canary } }),
      () => new Broker('memory:', { logger: `amqp://guest:${canary}@host` } as never),
    ];
    for (const attempt of attempts) {
      let error: unknown;
      try {
        attempt();
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ code: 'INVALID_OPTION' });
      expectNoSecret(error);
    }
  });

  it.each([
    `memory://guest:${canary}@shared`,
    `memory:guest:${canary}@shared`,
    `memory://shared?password=${canary}`,
    `amqp:guest:${canary}@host`,
    `amqp://guest:${canary}@host:port`,
    `//guest:${canary}@host`,
    ` amqp://guest:${canary}@host/a/b`,
    `amqp://guest:${encodeURIComponent(canary)}@host/vhost?heartbeat=1`,
  ])('is not seen in a URL that is wrong: %#', async (url) => {
    const it = listenedTo(url, { startupTimeoutMs: 200 });
    it.expectNoSecret(await failureOf(it.broker.connect()));
    it.expectNoSecret(
      await failureOf(Broker.connect([url, 'amqp://localhost:1'], { startupTimeoutMs: 200 })),
    );
    await it.broker.close();
  });

  it('is not seen when work goes wrong on a connection that it has opened', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using other = await otherClient(vhost.url);
    const user = `user-${vhost.name}`;
    const all = { configure: '.*', write: '.*', read: '.*' };
    await vhost.management.createUser(user, canary, all);
    try {
      const it = listenedTo(proxy.via(vhost.url), {
        credentials: () => ({ username: user, password: canary, expiresAt: new Date(Date.now() + 1_500) }),
      });
      const errors: unknown[] = [];
      const producer = it.broker.producer(numbers);
      const seen: unknown[] = [];
      const consumer = it.broker.consumer(numbers, (message) => {
        seen.push(message);
        throw new Error('for good');
      });
      await consumer.ready;
      await producer.send({ n: 1 });
      await other.put('numbers', 'not JSON');
      await expect.poll(() => it.events.of('dead-lettered').length).toBe(2);
      errors.push(await failureOf(it.broker.declare(queue('numbers', z.string(), { type: 'classic' }))));
      errors.push(await failureOf(it.broker.stats('missing')));
      errors.push(await failureOf(producer.send({ n: 'x' } as never)));
      await vhost.management.setPermissions(user, { ...all, configure: '^$' });
      errors.push(await failureOf(it.broker.declare(queue('forbidden', z.string()))));
      proxy.blackhole(true);
      errors.push(await failureOf(producer.send({ n: 2 }, { timeoutMs: 100 })));
      const open = producer.send({ n: 3 }).catch((error: unknown) => error);
      expect(await it.broker.close({ timeoutMs: 100 })).toEqual({ clean: false });
      errors.push(await open, await failureOf(producer.send({ n: 4 })));
      it.expectNoSecret(errors, seen, producer, consumer);
      for (const letter of await other.takeAll('numbers.dead', 2)) expectNoSecret(letter);
    } finally {
      await vhost.management.deleteUser(user);
    }
  });
});
