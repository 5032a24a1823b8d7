import { Broker, DeadLetter, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost, queueDepth } from '../../helpers/server/index.js';

const note = z.object({ text: z.string() });
const kinds = ['quorum', 'classic'] as const;

describe.each(kinds)('the dead-letter queue of a %s queue', (type) => {
  it('gets what a handler gives up', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const notes = queue('notes', note, { type });
    await broker.consumer(notes, () => {
      throw new DeadLetter('no use');
    }).ready;
    const { messageId } = await broker.producer(notes).send({ text: 'hopeless' });
    await using other = await otherClient(vhost.url);
    const dead = await other.take('notes.dead');
    expect(dead.properties.messageId).toBe(messageId);
    expect(JSON.parse(dead.content.toString())).toEqual({ text: 'hopeless' });
  });

  it('gets what another client rejects', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.producer(queue('notes', note, { type })).send({ text: 'rejected' });
    const got = await other.channel.get('notes');
    if (got) other.channel.reject(got, false);
    expect((await other.take('notes.dead')).content.toString()).toContain('rejected');
  });

  it('gets what expires, by the limit of the queue or of the message', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.producer(queue('short', note, { type, messageTtlMs: 50 })).send({ text: 'by the queue' });
    await broker.producer(queue('notes', note, { type })).send({ text: 'by itself' }, { ttlMs: 50 });
    expect((await other.take('short.dead')).content.toString()).toContain('by the queue');
    expect((await other.take('notes.dead')).content.toString()).toContain('by itself');
  });

  it('gets the oldest of a queue that is over its length', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const producer = broker.producer(queue('notes', note, { type, maxLength: 2, overflow: 'drop-head' }));
    for (const text of ['one', 'two', 'three', 'four']) await producer.send({ text });
    const dead = await other.takeAll('notes.dead', 2);
    expect(dead.map(({ content }) => JSON.parse(content.toString()).text as string)).toEqual(['one', 'two']);
    await expect.poll(() => queueDepth(vhost.url, 'notes')).toBe(2);
  });
});

describe('the dead-letter queue', () => {
  it('gets what came back too often', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.producer(queue('notes', note, { deliveryLimit: 2 })).send({ text: 'poison' });
    let deliveries = 0;
    await other.channel.consume('notes', (message) => {
      if (!message) return;
      deliveries++;
      other.channel.reject(message, true);
    });
    expect((await other.take('notes.dead')).content.toString()).toContain('poison');
    expect(deliveries).toBe(3);
  });

  it('has another name when the contract says so, and may serve several queues', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    for (const name of ['first', 'second']) {
      const contract = queue(name, note, { deadLetter: 'graveyard', retry: false });
      await broker.consumer(contract, () => {
        throw new Error(`failed in ${name}`);
      }).ready;
      await broker.producer(contract).send({ text: name });
    }
    const dead = await other.takeAll('graveyard', 2);
    expect(dead.map(({ properties }) => properties.headers?.['leveret-queue']).sort()).toEqual([
      'first',
      'second',
    ]);
    const names = (await vhost.management.queues()).map(({ name }) => name).sort();
    expect(names).toEqual(['first', 'graveyard', 'second']);
  });

  it.each(kinds)(
    'is not there when a %s queue is to have none: what fails for good is dropped',
    async (type) => {
      await using vhost = await createVhost();
      await using broker = await Broker.connect(vhost.url);
      const notes = queue('notes', note, { type, deadLetter: false, retry: false });
      const runs: string[] = [];
      const consumer = broker.consumer(notes, ({ body }) => {
        runs.push(body.text);
        throw new Error('for good');
      });
      await consumer.ready;
      const producer = broker.producer(notes);
      await producer.send({ text: 'one' });
      await producer.send({ text: 'two' });
      await expect.poll(() => consumer.stats.deadLettered).toBe(2);
      expect(await consumer.close()).toEqual({ clean: true });
      expect(runs).toEqual(['one', 'two']);
      await expect.poll(() => broker.stats(notes)).toEqual({ messages: 0, consumers: 0 });
      expect((await vhost.management.queues()).map(({ name }) => name)).toEqual(['notes']);
    },
  );

  it('keeps its messages however often they are looked at', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.declare(queue('notes', note));
    await other.put('notes.dead', { text: 'still here' });
    for (let look = 0; look < 30; look++) {
      await expect
        .poll(async () => {
          const got = await other.channel.get('notes.dead');
          if (got) other.channel.reject(got, true);
          return got;
        })
        .toBeTruthy();
    }
    await expect.poll(() => queueDepth(vhost.url, 'notes.dead')).toBe(1);
  });
});
