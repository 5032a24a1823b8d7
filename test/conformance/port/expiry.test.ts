import { expect } from 'vitest';
import { absenceOf, passing } from '../../helpers/waits.js';
import { texts } from './peer.js';
import { suite } from './suite.js';

suite('a quorum queue whose messages expire', {
  'looks at each priority by itself, but for the two classes of 4.0': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('expired');
    await probe.queue('q', {
      'x-queue-type': 'quorum',
      'x-message-ttl': 2_000,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'expired',
    });
    await probe.publish('q', 'low');
    await passing(500, 'the second message is due later than the first');
    await probe.publish('q', 'high', { properties: { priority: 9 } });
    await expect.poll(async () => await probe.ready('expired')).toBe(2);
    const { received } = await probe.consume('expired');
    await expect.poll(() => received.length).toBe(2);
    expect(texts(received)).toBe(family === '4.0' ? 'high low' : 'low high');
  },

  'sends a low priority on as soon as no high one is left before it': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('expired');
    await probe.queue('q', {
      'x-queue-type': 'quorum',
      'x-message-ttl': 300,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'expired',
    });
    for (const priority of [9, 0, 5, undefined, 4]) {
      await probe.publish('q', `${priority}`, { properties: { priority } });
    }
    await expect.poll(async () => await probe.ready('expired')).toBe(5);
    expect(await probe.ready('q')).toBe(0);
  },
});

suite('a classic queue with priorities whose messages expire', {
  'looks at the head of the highest priority alone': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('expired');
    await probe.queue('q', {
      'x-max-priority': 3,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'expired',
    });
    await probe.publish('q', 'high', { properties: { priority: 2 } });
    await probe.publish('q', 'low', { properties: { priority: 1, expiration: '20' } });
    await absenceOf(150, 'a message behind one of a higher priority expires');
    expect([await probe.ready('q'), await probe.ready('expired')]).toEqual([2, 0]);
    await probe.take('q');
    await expect.poll(async () => await probe.ready('expired')).toBe(1);
  },
});

suite('a message without any time in a classic queue', {
  'stays behind others until a delivery makes it the head': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('expired');
    await probe.queue('q', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'expired' });
    await probe.publish('q', '1');
    await probe.publish('q', '2', { properties: { expiration: '0' } });
    await probe.publish('q', '3');
    expect([await probe.ready('q'), await probe.ready('expired')]).toEqual([3, 0]);
    const { received } = await probe.consume('q', 1);
    await expect.poll(async () => await probe.ready('expired')).toBe(1);
    expect(await probe.ready('q')).toBe(1);
    expect(texts(received)).toBe('1');
  },

  'is delivered after all when its priority makes it the head': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('expired');
    await probe.queue('q', {
      'x-max-priority': 3,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': 'expired',
    });
    await probe.publish('q', '1');
    await probe.publish('q', '2', { properties: { expiration: '0', priority: 1 } });
    await probe.publish('q', '3');
    expect([await probe.ready('q'), await probe.ready('expired')]).toEqual([3, 0]);
    const { received } = await probe.consume('q', 2);
    await expect.poll(() => texts(received)).toBe('2 1');
    expect([await probe.ready('q'), await probe.ready('expired')]).toEqual([1, 0]);
  },
});
