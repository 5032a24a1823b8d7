import { expect } from 'vitest';
import { absenceOf } from '../../helpers/waits.js';
import { counts, texts } from './peer.js';
import { suite } from './suite.js';

const quorum = { 'x-queue-type': 'quorum' };

suite('requeueing', {
  'on a classic queue restores the original order': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('q');
    for (const text of ['1', '2', '3', '4']) await probe.publish('q', text);
    const consumer = await probe.consume('q', 3);
    await expect.poll(() => consumer.received.length).toBe(3);
    await probe.channel.cancel(consumer.tag);
    for (const tag of [2, 1, 3]) probe.channel.reject(tag, { requeue: true });
    const again = await probe.consume('q', 10);
    await expect.poll(() => again.received.length).toBe(4);
    expect(texts(again.received)).toBe('1r 2r 3r 4');
  },

  'on a quorum queue keeps the order of the returns': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('q', { ...quorum, 'x-delivery-limit': 20 });
    for (const text of ['1', '2', '3', '4']) await probe.publish('q', text);
    const consumer = await probe.consume('q', 3);
    await expect.poll(() => consumer.received.length).toBe(3);
    await probe.channel.cancel(consumer.tag);
    for (const tag of [2, 1, 3]) probe.channel.reject(tag, { requeue: true });
    await expect.poll(async () => await probe.ready('q')).toBe(4);
    const again = await probe.consume('q', 10);
    await expect.poll(() => again.received.length).toBe(4);
    expect(texts(again.received)).toBe('2r 1r 3r 4');
  },

  'on a quorum queue without a limit goes to the end on 3.x': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('q', quorum);
    for (const text of ['1', '2', '3']) await probe.publish('q', text);
    const consumer = await probe.consume('q', 1);
    await expect.poll(() => consumer.received.length).toBe(1);
    await probe.channel.cancel(consumer.tag);
    probe.channel.reject(1, { requeue: true });
    await expect.poll(async () => await probe.ready('q')).toBe(3);
    const again = await probe.consume('q', 10);
    await expect.poll(() => again.received.length).toBe(3);
    expect(texts(again.received)).toBe(family === '3.13' ? '2 3 1r' : '1r 2 3');
  },

  'by reject counts as a failed delivery': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('q', { ...quorum, 'x-delivery-limit': 20 });
    await probe.publish('q', '1');
    const consumer = await probe.consume('q', 1);
    for (const at of [1, 2]) {
      await expect.poll(() => consumer.received.length).toBe(at);
      probe.channel.reject(at, { requeue: true });
    }
    await expect.poll(() => consumer.received.length).toBe(3);
    const expected = family === '4.3' ? ['---', 'r11', 'r22'] : ['---', 'r1-', 'r2-'];
    expect(consumer.received.map(counts)).toEqual(expected);
  },

  'by nack counts before 4.3': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('q', { ...quorum, 'x-delivery-limit': 20 });
    await probe.publish('q', '1');
    const consumer = await probe.consume('q', 1);
    for (const at of [1, 2]) {
      await expect.poll(() => consumer.received.length).toBe(at);
      probe.channel.nack(at, { multiple: false, requeue: true });
    }
    await expect.poll(() => consumer.received.length).toBe(3);
    const expected = family === '4.3' ? ['---', 'r-1', 'r-2'] : ['---', 'r1-', 'r2-'];
    expect(consumer.received.map(counts)).toEqual(expected);
  },

  'by a lost link counts as a failed delivery': async (peer, { family }) => {
    const link = await peer.link();
    const lost = await peer.channel(link);
    await lost.queue('q', { ...quorum, 'x-delivery-limit': 20 });
    await lost.publish('q', '1');
    const consumer = await lost.consume('q', 1);
    await expect.poll(() => consumer.received.length).toBe(1);
    link.destroy(new Error('lost'));
    const other = await peer.channel();
    const again = await other.consume('q', 1);
    await expect.poll(() => again.received.length).toBe(1);
    expect(again.received.map(counts)).toEqual([family === '4.3' ? 'r11' : 'r1-']);
  },

  'beyond the delivery limit makes room for two on 3.x': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('q', { ...quorum, 'x-delivery-limit': 0 });
    for (let at = 1; at <= 9; at++) await probe.publish('q', `${at}`);
    const consumer = await probe.consume('q', 2);
    await expect.poll(() => consumer.received.length).toBe(2);
    for (const [tag, room] of [
      [2, 2],
      [1, 4],
    ] as const) {
      probe.channel.reject(tag, { requeue: true });
      const delivered = 2 + (family === '3.13' ? room : room / 2);
      await expect.poll(async () => await probe.ready('q')).toBe(9 - delivered);
      expect(consumer.received.length).toBe(delivered);
    }
  },

  'to a full quorum queue delivers before it drops, and to a classic queue drops its head': async (peer) => {
    const found: unknown[] = [];
    for (const [type, limit] of [
      ['quorum', { 'x-delivery-limit': 20 }],
      ['classic', {}],
    ] as const) {
      const probe = await peer.channel();
      const length = { 'x-max-length': 2, 'x-overflow': 'drop-head' };
      await probe.queue(type, { 'x-queue-type': type, ...length, ...limit });
      const consumer = await probe.consume(type, 1);
      for (const text of ['1', '2', '3']) await probe.publish(type, text);
      await expect.poll(() => consumer.received.length).toBe(1);
      probe.channel.nack(1, { multiple: false, requeue: true });
      await expect.poll(() => consumer.received.length).toBe(2);
      await expect.poll(async () => await probe.ready(type)).toBeLessThan(3);
      found.push(texts(consumer.received), await probe.ready(type));
    }
    expect(found).toEqual(['1 1r', 2, '1 2', 1]);
  },

  'does not happen to a queue that goes with its last consumer': async (peer) => {
    const [probe, other] = [await peer.channel(), await peer.channel()];
    await probe.queue('dead');
    const target = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };
    await probe.queue('q', { 'x-message-ttl': 0, ...target }, { autoDelete: true });
    const consumer = await other.consume('q', 1);
    await probe.publish('q', '1');
    await expect.poll(() => consumer.received.length).toBe(1);
    await other.channel.close();
    const watch = await peer.channel();
    await expect.poll(async () => await watch.channel.checkQueue('q').catch(() => undefined)).toBeUndefined();
    await absenceOf(100, 'the message of a deleted queue is dead-lettered');
    expect(await probe.ready('dead')).toBe(0);
  },

  'on a classic queue only says that it came before': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('q');
    await probe.publish('q', '1');
    const consumer = await probe.consume('q', 1);
    await expect.poll(() => consumer.received.length).toBe(1);
    probe.channel.reject(1, { requeue: true });
    await expect.poll(() => consumer.received.length).toBe(2);
    expect(consumer.received.map(counts)).toEqual(['---', 'r--']);
  },
});
