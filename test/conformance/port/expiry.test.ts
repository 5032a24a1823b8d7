import { expect } from 'vitest';
import { passing } from '../../helpers/waits.js';
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
