import { Broker, exchange, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost } from '../../helpers/server/index.js';

const note = z.object({ text: z.string() });

describe('a declared queue', () => {
  it('is a replicated one by default, with a delivery limit and a dead-letter queue beside it', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(queue('notes', note));
    expect(await vhost.management.queue('notes')).toMatchObject({
      type: 'quorum',
      durable: true,
      exclusive: false,
      auto_delete: false,
      arguments: {
        'x-queue-type': 'quorum',
        'x-delivery-limit': 20,
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'notes.dead',
        'x-dead-letter-strategy': 'at-least-once',
        'x-overflow': 'reject-publish',
      },
    });
    const dead = await vhost.management.queue('notes.dead');
    expect(dead).toMatchObject({ type: 'quorum', durable: true });
    expect(dead.arguments['x-delivery-limit']).toBeGreaterThan(100_000);
    for (const limiting of ['x-message-ttl', 'x-expires', 'x-max-length', 'x-overflow']) {
      expect(dead.arguments).not.toHaveProperty(limiting);
    }
  });

  it('has every argument that its contract asks for', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(
      queue('limited', note, {
        messageTtlMs: 60_000,
        expiresMs: 120_000,
        maxLength: 100,
        maxLengthBytes: 10_000,
        overflow: 'drop-head',
        singleActiveConsumer: true,
        deliveryLimit: 7,
        deadLetter: 'graveyard',
        arguments: { 'x-quorum-initial-group-size': 1 },
      }),
      queue('urgent', note, {
        type: 'classic',
        maxPriority: 5,
        overflow: 'reject-publish',
        deadLetter: false,
      }),
      queue('short-lived', note, { type: 'classic', autoDelete: true, deadLetter: false }),
    );
    expect((await vhost.management.queue('limited')).arguments).toEqual({
      'x-queue-type': 'quorum',
      'x-message-ttl': 60_000,
      'x-expires': 120_000,
      'x-max-length': 100,
      'x-max-length-bytes': 10_000,
      'x-overflow': 'drop-head',
      'x-single-active-consumer': true,
      'x-delivery-limit': 7,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'graveyard',
      'x-quorum-initial-group-size': 1,
    });
    const urgent = await vhost.management.queue('urgent');
    expect(urgent).toMatchObject({
      durable: true,
      arguments: { 'x-max-priority': 5, 'x-overflow': 'reject-publish' },
    });
    expect(Object.keys(urgent.arguments)).not.toContain('x-dead-letter-exchange');
    expect(await vhost.management.queue('short-lived')).toMatchObject({ auto_delete: true });
    const names = (await vhost.management.queues()).map(({ name }) => name).sort();
    expect(names).toEqual(['graveyard', 'limited', 'short-lived', 'urgent']);
  });

  it('belongs to the connection that consumes from it when it is exclusive', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const own = queue('own', note, { type: 'classic', exclusive: true, deadLetter: false });
    const got: string[] = [];
    await broker.consumer(own, ({ body }) => void got.push(body.text)).ready;
    expect(await vhost.management.queue('own')).toMatchObject({ exclusive: true });
    await broker.producer(own).send({ text: 'mine' });
    await expect.poll(() => got).toEqual(['mine']);
    await broker.close();
    await expect.poll(async () => (await vhost.management.queues()).length).toBe(0);
  });

  /** What other clients mean by a plain queue. */
  const plain = (durable: boolean) =>
    queue('plain', note, { type: 'classic', durable, retry: false, deadLetter: false });

  it.each([
    ['durable', true],
    ['transient', false],
  ])(
    'that is plain and %s is the one that other clients declare, whichever comes first',
    async (_kind, durable) => {
      await using vhost = await createVhost();
      await using broker = await Broker.connect(vhost.url);
      await using other = await otherClient(vhost.url);
      const channel = await other.openChannel();
      try {
        await channel.assertQueue('plain', { durable });
      } catch {
        // A version that denies transient queues, from 4.3 on by default: then to everybody, in the server's own words.
        await expect(broker.declare(plain(durable))).rejects.toMatchObject({
          name: 'TopologyError',
          message: expect.stringMatching(/transient_nonexcl_queues/),
        });
        return;
      }
      await broker.declare(plain(durable));
      const { 'x-queue-type': type = 'classic', ...others } = (await vhost.management.queue('plain'))
        .arguments;
      expect({ type, others }).toEqual({ type: 'classic', others: {} });
      await broker.delete(plain(durable));
      await broker.declare(plain(durable));
      await expect(channel.assertQueue('plain', { durable })).resolves.toMatchObject({ queue: 'plain' });
      expect((await vhost.management.queues()).map(({ name }) => name)).toEqual(['plain']);
    },
  );
});

describe('a queue that is not declared', () => {
  it('is only checked when its contract says passive, whatever its arguments', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await other.channel.assertQueue('existing', { arguments: { 'x-max-length': 5 } });
    const existing = queue('existing', note, { declare: 'passive', type: 'classic' });
    await broker.declare(existing);
    await broker.producer(existing).send({ text: 'hello' });
    const got: string[] = [];
    await broker.consumer(existing, ({ body }) => void got.push(body.text)).ready;
    await expect.poll(() => got).toEqual(['hello']);
    // The queue stays as it is; its dead-letter queue is Leveret's.
    const names = (await vhost.management.queues()).map(({ name }) => name);
    expect(names.sort()).toEqual(['existing', 'existing.dead']);
  });

  it('is missed at once when it is passive and not there', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const missing = queue('missing', note, { declare: 'passive' });
    const notFound = {
      name: 'TopologyError',
      code: 'NOT_FOUND',
      message: expect.stringMatching(/queue 'missing'/),
      retryable: false,
    };
    await expect(broker.declare(missing)).rejects.toMatchObject(notFound);
    await expect(broker.producer(missing).send({ text: 'hello' })).rejects.toMatchObject(notFound);
    const consumer = broker.consumer(missing, () => undefined);
    await expect(consumer.ready).rejects.toMatchObject(notFound);
    expect(await consumer.closed).toMatchObject(notFound);
    expect(await vhost.management.queues()).toEqual([]);
  });

  it('is used as it is when its contract says so', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const foreign = queue('foreign', note, { declare: false, type: 'classic' });
    await broker.declare(foreign);
    await expect(broker.producer(foreign).send({ text: 'lost' })).rejects.toMatchObject({
      code: 'UNROUTABLE',
    });
    await expect(broker.consumer(foreign, () => undefined).ready).rejects.toMatchObject({
      name: 'TopologyError',
      code: 'NOT_FOUND',
    });
    // Its dead-letter queue is Leveret's own.
    expect((await vhost.management.queues()).map(({ name }) => name)).toEqual(['foreign.dead']);

    await other.channel.assertQueue('foreign', { arguments: { 'x-max-length': 5 } });
    await broker.producer(foreign).send({ text: 'hello' });
    const got: string[] = [];
    await broker.consumer(foreign, ({ body }) => void got.push(body.text)).ready;
    await expect.poll(() => got).toEqual(['hello']);
    expect((await vhost.management.queues()).map(({ name }) => name)).toEqual(['foreign', 'foreign.dead']);
  });

  it('takes an exchange that is there, and misses one that is not', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const missing = exchange('missing', note, { type: 'fanout', declare: 'passive' });
    const notFound = {
      name: 'TopologyError',
      code: 'NOT_FOUND',
      message: expect.stringMatching(/exchange 'missing'/),
    };
    await expect(broker.declare(missing)).rejects.toMatchObject(notFound);
    await expect(broker.producer(missing).send({ text: 'hello' })).rejects.toMatchObject(notFound);
    await broker.declare(exchange('missing', note, { type: 'direct' }));
    await broker.declare(missing);
    await broker.producer(missing).send({ text: 'hello' });
  });
});
