import { expect } from 'vitest';
import { absenceOf, passing } from '../../helpers/waits.js';
import { texts } from './peer.js';
import { suite } from './suite.js';

const quorum = { 'x-queue-type': 'quorum' };

for (const type of ['classic', 'quorum'] as const) {
  const kind = { 'x-queue-type': type };

  suite(`deliveries of a ${type} queue`, {
    'come in order, and stop at the prefetch': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', kind);
      for (const text of ['1', '2', '3', '4']) await probe.publish('q', text);
      const consumer = await probe.consume('q', 2);
      await expect.poll(() => consumer.received.length).toBe(2);
      expect(await probe.channel.checkQueue('q')).toEqual({ messages: 2, consumers: 1 });
      probe.channel.ack(1, false);
      await expect.poll(() => consumer.received.length).toBe(3);
      expect(texts(consumer.received)).toBe('1 2 3');
      expect(consumer.received.map((it) => it.deliveryTag)).toEqual([1, 2, 3]);
    },

    'go to the consumers in turn': async (peer) => {
      const [one, two, publisher] = [await peer.channel(), await peer.channel(), await peer.channel()];
      await publisher.queue('q', kind);
      const first = await one.consume('q', 10);
      const second = await two.consume('q', 10);
      for (const text of ['1', '2', '3', '4']) await publisher.publish('q', text);
      await expect.poll(() => first.received.length + second.received.length).toBe(4);
      expect({ first: texts(first.received), second: texts(second.received) }).toEqual({
        first: '1 3',
        second: '2 4',
      });
    },

    'go to the consumer of the highest priority while it has room': async (peer) => {
      const [low, high, publisher] = [await peer.channel(), await peer.channel(), await peer.channel()];
      await publisher.queue('q', kind);
      const first = await low.consume('q', 10);
      const second = await high.consume('q', 2, { arguments: { 'x-priority': 5 } });
      for (const text of ['1', '2', '3']) await publisher.publish('q', text);
      await expect.poll(() => first.received.length + second.received.length).toBe(3);
      expect({ first: texts(first.received), second: texts(second.received) }).toEqual({
        first: '3',
        second: '1 2',
      });
    },

    'without acknowledgements are forgotten at once': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', kind);
      for (const text of ['1', '2', '3']) await probe.publish('q', text);
      const consumer = await probe.consume('q', 1, { noAck: true });
      await expect.poll(() => consumer.received.length).toBe(3);
      await probe.channel.close();
      const other = await peer.channel();
      expect(await other.ready('q')).toBe(0);
    },

    'can be acknowledged all at once, and never twice': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', kind);
      for (const text of ['1', '2', '3']) await probe.publish('q', text);
      const consumer = await probe.consume('q', 10);
      await expect.poll(() => consumer.received.length).toBe(3);
      probe.channel.ack(3, true);
      await probe.channel.cancel(consumer.tag);
      probe.channel.ack(0, true);
      expect(await probe.ready('q')).toBe(0);
      probe.channel.ack(2, false);
      expect(await probe.closing()).toBe('406 PRECONDITION_FAILED - unknown delivery tag 2');
    },

    'that were not acknowledged come again after the channel is closed, in order': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', kind);
      for (const text of ['1', '2', '3']) await probe.publish('q', text);
      const consumer = await probe.consume('q', 10);
      await expect.poll(() => consumer.received.length).toBe(3);
      probe.channel.ack(2, false);
      await probe.channel.close();
      const other = await peer.channel();
      const again = await other.consume('q', 10);
      await expect.poll(() => again.received.length).toBe(2);
      expect(texts(again.received)).toBe('1r 3r');
    },

    'stay with the channel after its consumer is cancelled': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', kind);
      await probe.publish('q', '1');
      const consumer = await probe.consume('q', 10);
      await expect.poll(() => consumer.received.length).toBe(1);
      await probe.channel.cancel(consumer.tag);
      // A quorum queue counts a consumer until all of its messages are settled.
      const consumers = type === 'quorum' ? 1 : 0;
      expect(await probe.channel.checkQueue('q')).toEqual({ messages: 0, consumers });
      probe.channel.nack(1, { multiple: false, requeue: true });
      await expect.poll(async () => await probe.ready('q')).toBe(1);
      expect(await probe.channel.checkQueue('q')).toEqual({ messages: 1, consumers: 0 });
    },

    'end with a word from the server when the queue is deleted': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', kind);
      await probe.publish('q', '1');
      const consumer = await probe.consume('q', 10);
      await expect.poll(() => consumer.received.length).toBe(1);
      await probe.channel.deleteQueue('q');
      await expect.poll(() => consumer.isCancelled).toBe(true);
      probe.channel.ack(1, false);
      await probe.channel.checkExchange('amq.topic');
      expect(probe.error).toBeUndefined();
    },

    'of a single active consumer move to the next one when it leaves': async (peer) => {
      const [one, two] = [await peer.channel(), await peer.channel()];
      await one.queue('q', { ...kind, 'x-single-active-consumer': true });
      const first = await one.consume('q', 1);
      const second = await two.consume('q', 1);
      await two.publish('q', '1');
      await two.publish('q', '2');
      await expect.poll(() => first.received.length).toBe(1);
      await two.channel.checkExchange('amq.topic');
      expect(second.received).toEqual([]);
      await one.channel.close();
      await expect.poll(() => second.received.length).toBe(1);
      expect(texts(second.received)).toBe('1r');
    },

    'put back are not counted when the queue is purged': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', kind);
      for (const text of ['1', '2', '3']) await probe.publish('q', text);
      const consumer = await probe.consume('q', 1);
      await expect.poll(() => consumer.received.length).toBe(1);
      expect(await probe.channel.purgeQueue('q')).toBe(2);
      expect(await probe.ready('q')).toBe(0);
    },
  });
}

suite('priorities', {
  'of a classic queue are kept apart up to its highest': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('q', { 'x-max-priority': 5 });
    for (const [text, priority] of [
      ['a', 0],
      ['b', 9],
      ['c', undefined],
      ['d', 5],
      ['e', 1],
    ] as const)
      await probe.publish('q', text, { properties: { priority } });
    const consumer = await probe.consume('q', 10);
    await expect.poll(() => consumer.received.length).toBe(5);
    expect(texts(consumer.received)).toBe('b d e a c');
  },

  'of a quorum queue depend on the version': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('q', quorum);
    for (const [at, priority] of [0, 3, 9, undefined, 5, 4, 6, 1, 5, 4].entries())
      await probe.publish('q', `${at}`, { properties: { priority } });
    const consumer = await probe.consume('q', 10);
    await expect.poll(() => consumer.received.length).toBe(10);
    const expected = {
      '3.13': '0 1 2 3 4 5 6 7 8 9',
      '4.0': '2 4 0 6 8 1 3 5 7 9',
      '4.3': '2 6 4 8 3 5 9 1 7 0',
    };
    expect(texts(consumer.received)).toBe(expected[family]);
  },
});

suite('consumers', {
  'that are exclusive keep others off a classic queue': async (peer) => {
    const [one, two, three] = [await peer.channel(), await peer.channel(), await peer.channel()];
    await one.queue('q');
    const words = "403 ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
    const first = await one.consume('q', 0, { exclusive: true });
    expect(await two.refusal(two.consume('q'))).toBe(words);
    await one.channel.cancel(first.tag);
    await one.consume('q');
    expect(await three.refusal(three.consume('q', 0, { exclusive: true }))).toBe(words);
  },

  'that are exclusive share a quorum queue': async (peer) => {
    const [one, two] = [await peer.channel(), await peer.channel()];
    await one.queue('q', quorum);
    await one.consume('q', 1, { exclusive: true });
    expect(await two.refusal(two.consume('q', 1))).toBe('done');
  },

  'of an auto-delete queue take it with them when the last one leaves': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('q', {}, { durable: false, autoDelete: true });
    expect(await probe.ready('q')).toBe(0);
    const consumer = await probe.consume('q');
    await probe.channel.cancel(consumer.tag);
    expect(await probe.refusal(probe.channel.checkQueue('q'))).toBe(
      "404 NOT_FOUND - no queue 'q' in vhost '/'",
    );
  },

  'keep a queue that expires, and a use puts its end off': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('q', { 'x-expires': 400 });
    const consumer = await probe.consume('q');
    await absenceOf(600, 'a queue with a consumer expires');
    expect(await probe.ready('q')).toBe(0);
    await probe.channel.cancel(consumer.tag);
    const link = await peer.link();
    await passing(900, 'the queue expires without use, and asking for it would be a use');
    const other = await peer.channel(link);
    expect(await other.refusal(other.channel.checkQueue('q'))).toContain('404');
  },

  'of an exclusive queue lose it with their link': async (peer) => {
    const link = await peer.link();
    const owner = await peer.channel(link);
    await owner.queue('q', {}, { durable: false, exclusive: true });
    link.destroy(new Error('lost'));
    await expect
      .poll(async () => {
        const probe = await peer.channel();
        return (await probe.refusal(probe.channel.checkQueue('q'))).startsWith('404');
      })
      .toBe(true);
    expect(link.isOpen).toBe(false);
  },
});
