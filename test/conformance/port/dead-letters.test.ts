import { expect } from 'vitest';
import { absenceOf } from '../../helpers/waits.js';
import { counts, type Received } from './peer.js';
import { type PortCase, suite } from './suite.js';

for (const type of ['classic', 'quorum'] as const) {
  const kind = { 'x-queue-type': type };
  const dead = { ...kind, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };

  const deaths = (properties: { headers?: unknown }) =>
    ((properties.headers as Record<string, unknown>)['x-death'] as Record<string, unknown>[]).map(
      ({ time: _time, ...rest }) => rest,
    );

  const cases: Record<string, PortCase> = {
    'that were rejected say so': async (peer, { family }) => {
      const probe = await peer.channel();
      await probe.queue('dead');
      await probe.queue('q', dead);
      await probe.publish('q', 'm', { properties: { expiration: '100000', headers: { own: 1 } } });
      const consumer = await probe.consume('q', 1);
      await expect.poll(() => consumer.received.length).toBe(1);
      probe.channel.reject(1, { requeue: false });
      await expect.poll(async () => await probe.ready('dead')).toBe(1);
      const letter = await probe.take('dead');
      expect(letter).toMatchObject({
        exchange: '',
        routingKey: 'dead',
        text: 'm',
        redelivered: family === '4.3',
      });
      expect(letter.properties.expiration).toBeUndefined();
      expect(deaths(letter.properties)).toEqual([
        {
          count: 1,
          reason: 'rejected',
          queue: 'q',
          exchange: '',
          'routing-keys': ['q'],
          'original-expiration': '100000',
        },
      ]);
      const first = {
        own: 1,
        'x-first-death-exchange': '',
        'x-first-death-queue': 'q',
        'x-first-death-reason': 'rejected',
      };
      const last = {
        'x-last-death-exchange': '',
        'x-last-death-queue': 'q',
        'x-last-death-reason': 'rejected',
      };
      const { 'x-death': _rows, ...others } = letter.properties.headers as Record<string, unknown>;
      expect(others).toEqual(family === '3.13' ? first : { ...first, ...last });
    },

    'of a queue that is its own target count their deaths': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', { ...kind, 'x-dead-letter-exchange': '' });
      await probe.publish('q', 'm');
      const consumer = await probe.consume('q', 1);
      for (const at of [1, 2]) {
        await expect.poll(() => consumer.received.length).toBe(at);
        probe.channel.reject(at, { requeue: false });
      }
      await expect.poll(() => consumer.received.length).toBe(3);
      expect(
        consumer.received.map(({ properties }) => (properties.headers as Record<string, unknown>)['x-death']),
      ).toMatchObject([undefined, [{ count: 1 }], [{ count: 2 }]]);
    },

    'that were not rejected do not go in circles': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', { ...kind, 'x-dead-letter-exchange': '', 'x-message-ttl': 50 });
      await probe.publish('q', 'm');
      await expect.poll(async () => await probe.ready('q'), { message: 'the message to expire' }).toBe(0);
      await absenceOf(200, 'a message in a circle comes back to its queue');
      expect(await probe.ready('q')).toBe(0);
    },

    'come when the time of the queue is over': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('dead');
      await probe.queue('q', { ...dead, 'x-message-ttl': 50 });
      await probe.publish('q', 'm');
      const { properties, redelivered } = await probe.take('dead');
      expect(redelivered).toBe(false);
      expect(deaths(properties)).toEqual([
        { count: 1, reason: 'expired', queue: 'q', exchange: '', 'routing-keys': ['q'] },
      ]);
    },

    'come when the time of the message is over, though not behind one that may wait': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('dead');
      await probe.queue('q', dead);
      await probe.publish('q', 'long', { properties: { expiration: '60000' } });
      await probe.publish('q', 'short', { properties: { expiration: '30' } });
      await absenceOf(250, 'an expired message is dead-lettered although it is not at the head');
      expect(await probe.ready('q')).toBe(2);
      expect((await probe.take('q')).text).toBe('long');
      expect((await probe.take('dead')).text).toBe('short');
    },

    'of no time at all come unless a consumer waits for them': async (peer) => {
      const [probe, other] = [await peer.channel(), await peer.channel()];
      await probe.queue('dead');
      await probe.queue('q', dead);
      await probe.publish('q', 'late', { properties: { expiration: '0' } });
      expect((await probe.take('dead')).text).toBe('late');
      const consumer = await other.consume('q', 1);
      await probe.publish('q', 'now', { properties: { expiration: '0' } });
      await expect.poll(() => consumer.received.length).toBe(1);
      expect(consumer.received[0]?.text).toBe('now');
    },

    'are the oldest of a queue that is full': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('dead');
      await probe.queue('q', { ...dead, 'x-max-length': 2 });
      for (const text of ['1', '2', '3']) expect(await probe.publish('q', text)).toBe('ack');
      const { text, properties } = await probe.take('dead');
      expect(text).toBe('1');
      expect(deaths(properties)).toMatchObject([{ reason: 'maxlen', count: 1 }]);
      expect(await probe.ready('q')).toBe(2);
    },

    'make room by their bytes': async (peer, { family }) => {
      const probe = await peer.channel();
      await probe.queue('dead');
      await probe.queue('q', { ...dead, 'x-max-length-bytes': 40 });
      for (const text of ['1', '2', '3', '4', '5']) await probe.publish('q', text.repeat(10));
      await expect.poll(async () => await probe.ready('dead')).toBeGreaterThan(0);
      // 4.3 counts what the properties take in a quorum queue.
      expect(await probe.ready('q')).toBe(type === 'quorum' && family === '4.3' ? 2 : 4);
    },

    'of a queue that refuses: none, but a nack': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', { ...kind, 'x-max-length': 10, 'x-overflow': 'reject-publish' });
      const outcomes: string[] = [];
      for (let at = 0; at < 13; at++) outcomes.push(await probe.publish('q', `${at}`));
      // A quorum queue notices when it is over its limit.
      const taken = type === 'quorum' ? 11 : 10;
      expect(outcomes).toEqual(Array.from({ length: 13 }, (_, at) => (at < taken ? 'ack' : 'nack')));
      expect(await probe.ready('q')).toBe(taken);
    },

    'keep their place with their keys when the target has none of its own': async (peer) => {
      const probe = await peer.channel();
      await probe.exchange('graves', 'topic');
      await probe.queue('dead');
      await probe.bind('dead', 'graves', 'q');
      await probe.queue('q', { ...kind, 'x-dead-letter-exchange': 'graves' });
      await probe.publish('q', 'm');
      const consumer = await probe.consume('q', 1);
      await expect.poll(() => consumer.received.length).toBe(1);
      probe.channel.nack(1, { multiple: false, requeue: false });
      expect(await probe.take('dead')).toMatchObject({ exchange: 'graves', routingKey: 'q' });
    },

    'tell of the keys in CC, and not of those in BCC': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('dead');
      await probe.queue('q', dead);
      const headers = { CC: ['copy'], BCC: ['secret'] };
      await probe.publish('q', 'm', { properties: { headers } });
      const consumer = await probe.consume('q', 1);
      await expect.poll(() => consumer.received.length).toBe(1);
      probe.channel.reject(1, { requeue: false });
      const { properties } = await probe.take('dead');
      expect(deaths(properties)).toMatchObject([{ 'routing-keys': ['q', 'copy'] }]);
    },

    'to their own queue come after the message that has their room, whatever the priority': async (peer) => {
      const probe = await peer.channel();
      const priorities = type === 'classic' ? { 'x-max-priority': 9 } : {};
      const toItself = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q' };
      await probe.queue('q', { ...kind, ...priorities, ...toItself });
      await probe.publish('q', 'first', { properties: { priority: 9 } });
      await probe.publish('q', 'second', { properties: { priority: 0 } });
      const consumer = await probe.consume('q', 1);
      await expect.poll(() => consumer.received.length).toBe(1);
      probe.channel.reject(1, { requeue: false });
      await expect.poll(() => consumer.received.length).toBe(2);
      expect(consumer.received.map(({ text }) => text)).toEqual(['first', 'second']);
    },

    'whose exchange is missing are dropped': async (peer) => {
      const probe = await peer.channel();
      await probe.queue('q', { ...kind, 'x-dead-letter-exchange': 'nix' });
      await probe.publish('q', 'm');
      const consumer = await probe.consume('q', 1);
      await expect.poll(() => consumer.received.length).toBe(1);
      probe.channel.reject(1, { requeue: false });
      expect(await probe.ready('q')).toBe(0);
      expect(probe.error).toBeUndefined();
    },
  };
  suite(`dead letters of a ${type} queue`, cases);
}

suite('dead letters', {
  'of 4.3 say that they were delivered before, but not to a consumer that waits at a classic queue': async (
    peer,
    { family },
  ) => {
    const found: boolean[] = [];
    for (const source of ['classic', 'quorum']) {
      for (const target of ['classic', 'quorum']) {
        const [probe, waiting] = [await peer.channel(), await peer.channel()];
        const [q, dead] = [`${source}-${target}`, `${source}-${target}-dead`];
        await probe.queue(dead, { 'x-queue-type': target });
        const to = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead };
        await probe.queue(q, { 'x-queue-type': source, ...to });
        const first = await waiting.consume(dead, 1);
        const consumer = await probe.consume(q, 1);
        for (const at of [1, 2]) {
          await probe.publish(q, 'm');
          await expect.poll(() => consumer.received.length).toBe(at);
          probe.channel.reject(at, { requeue: false });
          if (at === 1) {
            await expect.poll(() => first.received.length).toBe(1);
            await waiting.channel.cancel(first.tag);
          } else {
            await expect.poll(async () => await probe.ready(dead)).toBe(1);
          }
        }
        found.push(first.received[0]?.redelivered === true, (await probe.take(dead)).redelivered);
      }
    }
    const expected = {
      '3.13': [false, false, false, false, false, false, false, false],
      '4.0': [false, false, false, false, false, false, true, true],
      '4.3': [false, true, true, true, false, true, true, true],
    };
    expect(found).toEqual(expected[family]);
  },

  'name their first and their last death, also when they come round again': async (peer, { family }) => {
    const probe = await peer.channel();
    const [here, there] = ['here', 'there'];
    await probe.exchange('in', 'direct');
    for (const [name, next] of [
      [here, there],
      [there, here],
    ] as const)
      await probe.queue(name, { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': next });
    await probe.bind(here, 'in', 'a');
    await probe.publish('a', 'm', { exchange: 'in' });
    const seen: unknown[] = [];
    for (const name of [here, there, here, there]) {
      const consumer = await probe.consume(name, 1);
      await expect.poll(() => consumer.received.length).toBe(1);
      const [{ deliveryTag, properties }] = consumer.received as [Received];
      const headers = (properties.headers ?? {}) as Record<string, unknown>;
      const nameOf = (death: string) => [
        headers[`x-${death}-death-exchange`],
        headers[`x-${death}-death-queue`],
      ];
      seen.push([...nameOf('first'), ...nameOf('last')]);
      await probe.channel.cancel(consumer.tag);
      probe.channel.reject(deliveryTag, { requeue: false });
    }
    const none = [undefined, undefined];
    const last =
      family === '3.13'
        ? [none, none, none]
        : [
            ['in', here],
            ['', there],
            ['', here],
          ];
    expect(seen).toEqual([[...none, ...none], ...last.map((it) => ['in', here, ...it])]);
  },

  'carry their failures through classic queues on 4.3': async (peer, { family }) => {
    const probe = await peer.channel();
    const seen: string[] = [];
    for (const last of ['reject', 'nack'] as const) {
      const queues = ['first', 'second', 'third'].map((name) => `${last}-${name}`);
      for (const [at, name] of queues.entries()) {
        const next = queues[at + 1];
        const target = next && { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': next };
        await probe.queue(name, { 'x-queue-type': next ? 'classic' : 'quorum', ...target });
      }
      const [first = '', second = '', third = ''] = queues;
      await probe.publish(first, 'm');
      for (const [name, how] of [
        [first, 'reject'],
        [second, last],
      ] as const) {
        const { received } = await probe.consume(name, 1);
        await expect.poll(() => received.length).toBe(1);
        const tag = received[0]?.deliveryTag as number;
        if (how === 'reject') probe.channel.reject(tag, { requeue: false });
        else probe.channel.nack(tag, { multiple: false, requeue: false });
      }
      await expect.poll(async () => await probe.ready(third)).toBe(1);
      seen.push(counts(await probe.take(third)));
    }
    expect(seen).toEqual(family === '4.3' ? ['r22', 'r11'] : ['---', '---']);
  },
});

suite('a message of no time at all', {
  'waits behind those of any priority on a classic queue, and on a quorum queue behind those of its own':
    async (peer, { family }) => {
      const probe = await peer.channel();
      const left: number[] = [];
      for (const [type, args] of [
        ['classic', { 'x-max-priority': 9 }],
        ['quorum', { 'x-queue-type': 'quorum' }],
      ] as const) {
        for (const [first, second] of [
          [5, 5],
          [1, 9],
          [9, 1],
        ] as const) {
          const name = `${type}-${first}-${second}`;
          await probe.queue(name, args);
          await probe.publish(name, '1', { properties: { priority: first } });
          await probe.publish(name, '2', { properties: { priority: second, expiration: '0' } });
          await absenceOf(50, 'a message of no time at all is dead-lettered');
          left.push(await probe.ready(name));
        }
      }
      const quorum = { '3.13': [2, 2, 2], '4.0': [2, 1, 2], '4.3': [2, 1, 1] }[family];
      expect(left).toEqual([2, 2, 2, ...quorum]);
    },
});

suite('the delivery limit', {
  'dead-letters after one more delivery than it says': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('dead');
    const target = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' };
    await probe.queue('q', { 'x-queue-type': 'quorum', 'x-delivery-limit': 2, ...target });
    await probe.publish('q', 'm');
    const consumer = await probe.consume('q', 1);
    for (const at of [1, 2, 3]) {
      await expect.poll(() => consumer.received.length).toBe(at);
      probe.channel.reject(at, { requeue: true });
    }
    const { properties } = await probe.take('dead');
    expect((properties.headers as Record<string, unknown>)['x-first-death-reason']).toBe('delivery_limit');
    expect(consumer.received).toHaveLength(3);
  },

  'counts what is given back before 4.3': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('q', { 'x-queue-type': 'quorum', 'x-delivery-limit': 2 });
    await probe.publish('q', 'm');
    const consumer = await probe.consume('q', 1);
    for (let at = 1; at <= 6; at++) {
      // Gone after the third, it would never come again.
      if (at > 3 && family !== '4.3') break;
      await expect.poll(() => consumer.received.length).toBe(at);
      probe.channel.nack(at, { multiple: false, requeue: true });
    }
    await absenceOf(200, 'a message beyond its delivery limit is delivered once more');
    expect(consumer.received.length).toBe(family === '4.3' ? 7 : 3);
  },

  'of nothing lets a message come once': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('q', { 'x-queue-type': 'quorum', 'x-delivery-limit': 0 });
    await probe.publish('q', 'm');
    const consumer = await probe.consume('q', 1);
    await expect.poll(() => consumer.received.length).toBe(1);
    probe.channel.reject(1, { requeue: true });
    await absenceOf(200, 'a message with a delivery limit of 0 is redelivered');
    expect(consumer.received).toHaveLength(1);
    expect(await probe.ready('q')).toBe(0);
  },

  'that is not given is 20 from 4.0': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('q', { 'x-queue-type': 'quorum' });
    await probe.publish('q', 'm');
    const consumer = await probe.consume('q', 1);
    for (let at = 1; at <= 25; at++) {
      await expect.poll(() => consumer.received.length === at || (at > 21 && family !== '3.13')).toBe(true);
      if (consumer.received.length < at) break;
      probe.channel.reject(at, { requeue: true });
      if (at === 21) await absenceOf(200, 'the default delivery limit lets a 22nd delivery through');
    }
    await absenceOf(100, 'one more delivery follows');
    expect(consumer.received).toHaveLength(family === '3.13' ? 26 : 21);
  },

  'has counted failures alone where a message of 4.3 dies into a quorum queue': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('next', { 'x-queue-type': 'quorum' });
    const target = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'next' };
    const found: string[] = [];
    for (const type of ['classic', 'quorum']) {
      await probe.queue(type, { 'x-queue-type': type, ...target });
      for (const how of ['nack', 'reject'] as const) {
        const other = await peer.channel();
        const { channel } = other;
        await probe.publish(type, 'm');
        const { received, tag } = await other.consume(type, 1);
        await expect.poll(() => received.length).toBe(1);
        channel.nack(1, { multiple: false, requeue: true });
        await expect.poll(() => received.length).toBe(2);
        channel[how](2, { multiple: false, requeue: false });
        found.push(counts(await probe.take('next')));
        await channel.cancel(tag);
      }
    }
    const expected = {
      '3.13': ['---', '---', '---', '---'],
      '4.0': ['---', '---', 'r1-', 'r1-'],
      '4.3': ['---', 'r11', '---', 'r11'],
    };
    expect(found).toEqual(expected[family]);
  },

  'is carried on by 4.3 where a message dies from one quorum queue into another': async (
    peer,
    { family },
  ) => {
    const probe = await peer.channel();
    const quorum = { 'x-queue-type': 'quorum', 'x-delivery-limit': 20 };
    await probe.queue('next', quorum);
    await probe.queue('q', { ...quorum, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'next' });
    await probe.publish('q', 'm');
    const consumer = await probe.consume('q', 1);
    for (const at of [1, 2, 3]) {
      await expect.poll(() => consumer.received.length).toBe(at);
      probe.channel.reject(at, { requeue: at < 3 });
    }
    const { properties, redelivered } = await probe.take('next');
    const { 'x-delivery-count': count, 'x-acquired-count': acquired } = properties.headers as Record<
      string,
      unknown
    >;
    const expected = {
      '3.13': { redelivered: false, count: undefined, acquired: undefined },
      '4.0': { redelivered: true, count: 1, acquired: undefined },
      '4.3': { redelivered: true, count: 3, acquired: 3 },
    };
    expect({ redelivered, count, acquired }).toEqual(expected[family]);
  },
});
