import { expect } from 'vitest';
import { texts } from './peer.js';
import { suite } from './suite.js';

const stream = { 'x-queue-type': 'stream' };

suite('streams', {
  'deliver to every consumer from its own place, with the offset of each message': async (peer) => {
    const link = await peer.link();
    const [writer, first, second] = [await peer.channel(link), await peer.channel(), await peer.channel()];
    await writer.queue('s', stream);
    for (const text of ['a', 'b', 'c']) await writer.publish('s', text);
    const one = await first.consume('s', 10, { arguments: { 'x-stream-offset': 'first' } });
    const two = await second.consume('s', 10, { arguments: { 'x-stream-offset': 2 } });
    await writer.publish('s', 'd');
    await expect
      .poll(() => ({ one: one.received.length, two: two.received.length }))
      .toEqual({ one: 4, two: 2 });
    expect({ one: texts(one.received), two: texts(two.received) }).toEqual({ one: 'a b c d', two: 'c d' });
    expect(one.received.map(({ properties }) => properties.headers)).toMatchObject(
      [0, 1, 2, 3].map((offset) => ({ 'x-stream-offset': offset })),
    );
  },

  'deliver no more than the prefetch, and go on when something is acknowledged': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('s', stream);
    for (const text of ['a', 'b', 'c', 'd', 'e']) await probe.publish('s', text);
    const { received } = await probe.consume('s', 2, { arguments: { 'x-stream-offset': 'first' } });
    await expect.poll(() => received.length).toBe(2);
    await probe.ready('s');
    expect(texts(received)).toBe('a b');
    probe.channel.ack(2, true);
    await expect.poll(() => received.length).toBe(4);
    probe.channel.ack(3, false);
    await expect.poll(() => received.length).toBe(5);
    expect(texts(received)).toBe('a b c d e');
  },

  'hold messages that expire elsewhere, and are not emptied by reading': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('s', stream);
    await probe.publish('s', 'a', { properties: { expiration: '1' } });
    for (const _ of [1, 2]) {
      const consumer = await probe.consume('s', 10, { arguments: { 'x-stream-offset': 'first' } });
      await expect.poll(() => consumer.received.length).toBe(1);
      probe.channel.ack(consumer.received[0]?.deliveryTag ?? 0, false);
      await probe.channel.cancel(consumer.tag);
    }
    expect(probe.error).toBeUndefined();
  },

  'refuse what they cannot do': async (peer, { family }) => {
    const link = await peer.link();
    const declaring = await peer.channel(link);
    await declaring.queue('s', stream);
    const unlimited = await peer.channel(link);
    // 3.x calls it "queue 's' in vhost".
    expect(await unlimited.refusal(unlimited.consume('s'))).toContain(
      '406 PRECONDITION_FAILED - consumer prefetch count is not set for',
    );
    const ranked = await peer.channel(link);
    expect(await ranked.refusal(ranked.consume('s', 1, { arguments: { 'x-priority': 1 } }))).toBe(
      "406 PRECONDITION_FAILED - invalid arg 'x-priority' for queue 's' in vhost '/' of queue type rabbit_stream_queue",
    );
    const unacknowledged = await peer.channel();
    expect(await unacknowledged.refusal(unacknowledged.consume('s', 1, { noAck: true }))).not.toBe('done');
    await declaring.publish('s', 'a');
    const returning = await peer.channel();
    const { received } = await returning.consume('s', 1, { arguments: { 'x-stream-offset': 'first' } });
    await expect.poll(() => received.length).toBe(1);
    returning.channel.nack(1, { multiple: false, requeue: true });
    if (family === '3.13') {
      expect(await returning.closing()).not.toBe('');
    } else {
      // Taken for an acknowledgement.
      await declaring.publish('s', 'b');
      await expect.poll(() => received.length).toBe(2);
      expect(texts(received)).toBe('a b');
    }
    const purging = await peer.channel();
    expect(await purging.refusal(purging.channel.purgeQueue('s'))).not.toBe('done');
  },
});
