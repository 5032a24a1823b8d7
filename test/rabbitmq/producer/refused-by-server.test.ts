import {
  Broker,
  exchange,
  MessageTooLargeError,
  queue,
  RejectedError,
  TopologyError,
  UnroutableError,
} from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost, queueDepth } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { isVersion } from '../../helpers/versions.js';
import { WireLog } from '../../helpers/wire-log.js';

const note = z.object({ text: z.string() });
const plain = { type: 'classic', deadLetter: false } as const;

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('It was sent.'),
    (error: unknown) => error,
  );

describe('a message that no queue takes', () => {
  it('is reported when the queue is not the contract’s to declare', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(queue('missing', note, { declare: false }));
    const sends = Array.from({ length: 20 }, () => failure(producer.send({ text: 'hello' })));
    for (const error of await Promise.all(sends)) {
      expect(error).toBeInstanceOf(UnroutableError);
      expect(error).toMatchObject({ code: 'UNROUTABLE', exchange: '', routingKey: 'missing' });
    }
    expect(await vhost.management.queues()).toEqual([]);
    // It is no error when it is not asked for, and none any more once there is such a queue.
    await producer.send({ text: 'lost' }, { mandatory: false });
    await broker.declare(queue('missing', note, plain));
    await producer.send({ text: 'taken' });
    await expect.poll(() => queueDepth(vhost.url, 'missing')).toBe(1);
  });

  it.each(['quorum', 'classic'] as const)(
    'is sent again once its %s queue, deleted behind the producer, is declared',
    async (type) => {
      await using vhost = await createVhost();
      await using proxy = await TcpProxy.listen(vhost.url);
      const wire = WireLog.of(proxy);
      await using broker = await Broker.connect(proxy.via(vhost.url));
      const events = recordEvents(broker);
      const producer = broker.producer(queue('notes', note, { type }));
      await producer.send({ text: 'first' });
      await vhost.management.deleteQueue('notes');
      const sent = Array.from({ length: 10 }, (_, n) => producer.send({ text: `${n}` }));
      await Promise.all(sent);
      await expect.poll(() => queueDepth(vhost.url, 'notes')).toBe(10);
      // Each of the ten went out twice at most.
      expect(wire.of('basic.publish').length).toBeLessThanOrEqual(21);
      expect(events.all).toEqual([['topology-restored', { kind: 'queue', name: 'notes' }]]);
    },
  );

  it('to an exchange is no error, unless the send is mandatory', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const orders = exchange('orders', note, { type: 'topic' });
    const producer = broker.producer(orders);
    await producer.send({ text: 'optional' }, { routingKey: 'eu.paid' });
    const error = await failure(
      producer.send({ text: 'mandatory' }, { routingKey: 'eu.paid', mandatory: true }),
    );
    expect(error).toBeInstanceOf(UnroutableError);
    expect(error).toMatchObject({ code: 'UNROUTABLE', exchange: 'orders', routingKey: 'eu.paid' });
    await broker.declare(orders.queue('bound', 'eu.*', plain));
    await producer.send({ text: 'mandatory' }, { routingKey: 'eu.paid', mandatory: true });
  });

  it('is told apart from those beside it, also from one with the same id', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const orders = exchange('orders', note, { type: 'direct' });
    await broker.declare(orders.queue('bound', 'yes', plain));
    const producer = broker.producer(orders);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, n) =>
        producer.send(
          { text: `${n}` },
          { routingKey: n % 3 === 0 ? 'no' : 'yes', mandatory: true, messageId: `id-${Math.floor(n / 6)}` },
        ),
      ),
    );
    const rejected = outcomes.flatMap(({ status }, n) => (status === 'rejected' ? [n] : []));
    expect(rejected).toEqual(Array.from({ length: 20 }, (_, n) => 3 * n));
    await expect.poll(() => queueDepth(vhost.url, 'bound')).toBe(40);
  });
});

describe('a missing exchange', () => {
  it('fails the sends to it, and not those of other producers', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    const lost = broker.producer(exchange('missing', note, { type: 'fanout', declare: false }));
    const other = broker.producer(queue('notes', note, plain));
    const failures = Array.from({ length: 10 }, () => failure(lost.send({ text: 'hello' })));
    const sent = Array.from({ length: 100 }, (_, n) => other.send({ text: `${n}` }));
    for (const error of await Promise.all(failures)) {
      expect(error).toBeInstanceOf(TopologyError);
      expect(error).toMatchObject({
        code: 'NOT_FOUND',
        message: expect.stringMatching(/exchange 'missing'/),
      });
    }
    await Promise.all(sent);
    await expect.poll(() => queueDepth(vhost.url, 'notes')).toBe(100);
    expect(events.names).toEqual([]);
    await broker.declare(exchange('missing', note, { type: 'fanout' }));
    await lost.send({ text: 'now' });
  });

  it('is declared again when it was deleted behind the producer', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const orders = exchange('orders', note, { type: 'fanout' });
    const producer = broker.producer(orders);
    await producer.send({ text: 'first' });
    await vhost.management.request('DELETE', `exchanges/${encodeURIComponent(vhost.name)}/orders`);
    await Promise.all(Array.from({ length: 10 }, (_, n) => producer.send({ text: `${n}` })));
    expect((await vhost.management.exchanges()).map(({ name }) => name)).toContain('orders');
  });
});

describe('a queue that is full', () => {
  it.each(['quorum', 'classic'] as const)(
    'of type %s rejects what it cannot take, and takes it when there is room',
    async (type) => {
      await using vhost = await createVhost();
      await using broker = await Broker.connect(vhost.url);
      const full = queue('full', note, { type, maxLength: 3, overflow: 'reject-publish', deadLetter: false });
      const producer = broker.producer(full);
      let taken = 0;
      let error: unknown;
      // A quorum queue takes a few more before it notices.
      for (let n = 0; n < 30 && !error; n++) {
        await producer.send({ text: `${n}` }).then(
          () => taken++,
          (reason: unknown) => {
            error = reason;
          },
        );
      }
      expect(error).toBeInstanceOf(RejectedError);
      expect(error).toMatchObject({ code: 'REJECTED', retryable: true });
      expect(taken).toBeGreaterThanOrEqual(3);
      await expect.poll(() => queueDepth(vhost.url, 'full')).toBe(taken);
      await broker.purge(full);
      const sendAgain = () =>
        producer.send({ text: 'again' }).then(
          () => true,
          () => false,
        );
      await expect.poll(sendAgain).toBe(true);
    },
  );
});

describe('a right that is taken away', () => {
  it('fails the sends with that reason, and they work again when it is given back', async () => {
    await using vhost = await createVhost();
    const user = `user-${vhost.name}`;
    await vhost.management.createUser(user, 'secret', { configure: '.*', write: '.*', read: '.*' });
    try {
      await using proxy = await TcpProxy.listen(vhost.url);
      const url = proxy.via(vhost.url).replace('guest:guest@', `${user}:secret@`);
      await using broker = await Broker.connect(url, { reconnect: { initialDelayMs: 10 } });
      const orders = exchange('orders', note, { type: 'fanout' });
      const producer = broker.producer(orders);
      await producer.send({ text: 'allowed' });
      await vhost.management.setPermissions(user, { configure: '.*', read: '.*' });
      // A channel remembers its rights for a while: the next one does not.
      proxy.cutAll();
      const sends = Array.from({ length: 5 }, () => failure(producer.send({ text: 'forbidden' })));
      for (const error of await Promise.all(sends)) {
        expect(error).toBeInstanceOf(TopologyError);
        expect(error).toMatchObject({
          code: 'ACCESS_REFUSED',
          retryable: false,
          message: expect.stringMatching(/orders/),
        });
      }
      await vhost.management.setPermissions(user, { configure: '.*', write: '.*', read: '.*' });
      await producer.send({ text: 'allowed again' });
    } finally {
      await vhost.management.deleteUser(user);
    }
  });
});

describe('a body that the server finds too large', () => {
  it('is reported as such from 4.0 on, and the sends beside it arrive', { timeout: 60_000 }, async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url, { maxBodyBytes: 20 * 1024 * 1024 });
    const bytes = queue('bytes', z.instanceof(Uint8Array), { ...plain, codec: 'bytes' });
    const producer = broker.producer(bytes);
    const sent = [1, 2, 3].map((n) => producer.send(new Uint8Array(n)));
    const large = producer.send(new Uint8Array(17 * 1024 * 1024));
    const more = [4, 5, 6].map((n) => producer.send(new Uint8Array(n)));
    if (isVersion('4.0')) {
      const error = await failure(large);
      expect(error).toBeInstanceOf(MessageTooLargeError);
      expect(error).toMatchObject({ sizeBytes: 17 * 1024 * 1024, limitBytes: 16 * 1024 * 1024 });
    } else {
      await large;
    }
    await Promise.all([...sent, ...more]);
    await expect.poll(() => queueDepth(vhost.url, 'bytes')).toBeGreaterThanOrEqual(6);
  });
});
