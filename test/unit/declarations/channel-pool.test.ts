import { expect, it } from 'vitest';
import { ChannelAllowance, ChannelPool } from '../../../src/declarations/channel-pool.js';
import { classify } from '../../../src/transport/failures.js';
import { type Channel, channelsExhausted } from '../../../src/transport/port.js';
import { deferred } from '../../../src/util/promises.js';
import { turn } from '../support/fake-clock.js';
import { FakeLink } from '../support/fake-link.js';
import { track } from '../support/track.js';

/** Checks this many queues at once, and says what has become of each. */
const checks = (channels: ChannelPool, count: number) =>
  Array.from({ length: count }, (_, at) => track(channels.run((channel) => channel.checkQueue(`q${at}`))));

const open = (link: FakeLink) => link.channels.filter(({ isOpen }) => isOpen).length;

it('runs sixteen operations side by side, and the others after those, in their order', async () => {
  const link = new FakeLink();
  const channels = new ChannelPool(link);
  const answers: (() => void)[] = [];
  link.onRequest = (request) =>
    request.startsWith('check') ? new Promise<void>((resolve) => answers.push(resolve)) : undefined;
  const running = checks(channels, 18);
  await turn();
  const atFirst = { asked: answers.length, channels: link.channels.length };
  answers[3]?.();
  answers[5]?.();
  await turn();
  for (const answer of answers) answer();
  await turn();

  expect({ atFirst, asked: answers.length, channels: link.channels.length }).toEqual({
    atFirst: { asked: 16, channels: 16 },
    asked: 18,
    channels: 16,
  });
  expect(link.requests.filter((it) => it.startsWith('check')).slice(16)).toEqual([
    'check queue q16',
    'check queue q17',
  ]);
  expect(running.map(({ state }) => state)).toEqual(Array(18).fill('resolved'));
});

it('closes its channels when nothing is left to do', async () => {
  const link = new FakeLink();
  const channels = new ChannelPool(link);
  checks(channels, 3);
  await turn();
  await turn();

  expect({ opened: link.channels.length, open: open(link) }).toEqual({ opened: 3, open: 0 });
});

it('leaves most of the channels of a small connection to others', async () => {
  const link = Object.assign(new FakeLink(), { channelMax: 40 });
  checks(new ChannelPool(link), 10);
  await turn();

  expect(link.channels).toHaveLength(2);
});

it('goes on with the channels that it has when the connection has no other left', async () => {
  const link = new FakeLink();
  let opened = 0;
  link.onRequest = (request) => {
    if (request === 'open channel' && ++opened > 2) throw channelsExhausted(2);
  };
  const running = checks(new ChannelPool(link), 10);
  await expect.poll(() => running.map(({ state }) => state)).toEqual(Array(10).fill('resolved'));
});

it('fails when the connection has no channel at all', async () => {
  const link = new FakeLink();
  link.onRequest = (request) => {
    if (request === 'open channel') throw channelsExhausted(2);
  };
  const running = checks(new ChannelPool(link), 10);
  await expect.poll(() => running.map(({ error }) => classify(error))).toEqual(Array(10).fill('no-channel'));
});

it('uses one channel after a limit of the user has cost the connection', async () => {
  const allowance = new ChannelAllowance();
  const lost = new FakeLink();
  let opened = 0;
  lost.onRequest = (request) => {
    if (request !== 'open channel' || ++opened <= 2) return deferred<void>().promise;
    const limit = channelsExhausted(2);
    lost.die(limit);
    return Promise.reject(limit);
  };
  const before = checks(new ChannelPool(lost, allowance), 4);
  await turn();
  const next = new FakeLink();
  const after = checks(new ChannelPool(next, allowance), 4);
  await expect.poll(() => after.map(({ state }) => state)).toEqual(Array(4).fill('resolved'));

  // Another attempt may succeed: it does, on the next link.
  expect(before.map(({ error }) => classify(error))).toEqual(Array(4).fill('lost'));
  expect(next.channels).toHaveLength(1);
});

it('passes what the operation throws on, and uses another channel afterwards', async () => {
  const link = new FakeLink();
  const channels = new ChannelPool(link);
  link.onRequest = (request) => {
    if (request === 'check queue gone') throw new Error('gone');
  };
  const used: Channel[] = [];
  const check = (name: string) =>
    channels.run(async (channel) => {
      used.push(channel);
      await channel.checkQueue(name);
    });
  await expect(check('gone')).rejects.toThrow('gone');
  await check('there');

  expect(used[0]).not.toBe(used[1]);
});
