import { inspect } from 'node:util';
import { Broker, queue } from 'leveret';
import { describe, expect, inject, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { freePort } from '../../helpers/server/ports.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { retry: false });
const canary = 'canary-7f3a/&%41';
const encoded = encodeURIComponent(canary);

/** Everything that could be read of a value, errors with their causes and stacks. */
const shown = (value: unknown) =>
  inspect(value, { depth: 20, showHidden: true, getters: true, maxStringLength: null, maxArrayLength: null });

function expectNoSecret(value: unknown): void {
  const text = shown(value);
  expect(text).not.toContain(canary);
  expect(text).not.toContain(encoded);
  expect(text).not.toContain('canary');
  expect(text).not.toContain(Buffer.from(canary).toString('base64').slice(0, 10));
  expect(JSON.stringify(value) ?? '').not.toContain('canary');
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('it worked'),
    (error: unknown) => error,
  );

describe('a password', () => {
  it('is in no event, log line, state, error or inspected object of a broker at work', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const user = `user-${vhost.name}`;
    await vhost.management.createUser(user, canary, { configure: '.*', write: '.*', read: '.*' });
    try {
      const lines: unknown[] = [];
      const log = (...line: unknown[]) => void lines.push(line);
      const url = new URL(proxy.via(vhost.url));
      url.username = user;
      url.password = encoded;
      await using broker = await Broker.connect([url.href, url.href], {
        name: 'secretive',
        logger: { debug: log, info: log, warn: log, error: log },
        reconnect: { initialDelayMs: 10 },
      });
      const events = recordEvents(broker);
      const producer = broker.producer(numbers);
      const consumer = broker.consumer(numbers, () => {
        throw new Error('for good');
      });
      await consumer.ready;
      await producer.send({ n: 1 });
      await expect.poll(() => events.of('dead-lettered').length).toBe(1);
      const refused = await failure(broker.declare(queue('numbers', z.string(), { type: 'classic' })));
      await proxy.refuse(true);
      proxy.cutAll();
      const late = await failure(producer.send({ n: 2 }, { timeoutMs: 100 }));
      await expect.poll(() => events.of('connect-failed').length).toBeGreaterThan(0);
      const observed = [broker.state, broker.health(), consumer.state, consumer.stats];
      // Refused from now on.
      await vhost.management.createUser(user, 'another one');
      await proxy.refuse(false);
      await expect
        .poll(() => events.of('connect-failed').at(-1), { timeout: 5_000 })
        .toMatchObject({ error: { code: 'ACCESS_REFUSED' } });
      observed.push(broker.state, broker.health());

      expect(events.all.length).toBeGreaterThan(4);
      expect(lines.length).toBeGreaterThan(4);
      for (const value of [broker, producer, consumer, refused, late, ...observed, events.all, lines]) {
        expectNoSecret(value);
      }
    } finally {
      await vhost.management.deleteUser(user);
    }
  });

  it.each([
    ['refused', async () => inject('server').url.replace('guest:guest@', `guest:${encoded}@`)],
    ['of a server that is away', async () => `amqp://guest:${encoded}@127.0.0.1:${await freePort()}`],
    ['in a URL with a bad port', async () => `amqp://guest:${encoded}@127.0.0.1:99999`],
    ['in a URL of another kind', async () => `https://guest:${encoded}@127.0.0.1`],
    ['with a bad escape', async () => `amqp://guest:canary%zz@127.0.0.1`],
    ['that holds an unescaped slash', async () => 'amqp://guest:can/canary@127.0.0.1'],
    ['in a URL with a query', async () => `amqp://guest:${encoded}@127.0.0.1?canary=canary`],
    ['that stands in the place of the port', async () => 'amqp://guest:canary'],
  ])('is not in the error of a start: one %s', async (_which, url) => {
    const error = await failure(Broker.connect(await url(), { startupTimeoutMs: 200 }));
    expectNoSecret(error);
  });

  it('is not in the error of a credentials function', async () => {
    await using vhost = await createVhost();
    const credentials = () => ({ username: 'guest', password: canary });
    expectNoSecret(await failure(Broker.connect(vhost.url, { credentials, startupTimeoutMs: 200 })));
    const incomplete = () => ({ user: 'guest', password: canary }) as never;
    expectNoSecret(
      await failure(Broker.connect(vhost.url, { credentials: incomplete, startupTimeoutMs: 200 })),
    );
  });
});
