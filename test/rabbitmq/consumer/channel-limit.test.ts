import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

/** Runs with the URL of a user who may have so many channels. */
async function withMaxChannels(value: number, run: (url: string, adminUrl: string) => Promise<void>) {
  await using vhost = await createVhost();
  const { management } = vhost;
  const user = vhost.name;
  await management.createUser(user, 'secret', { configure: '.*', write: '.*', read: '.*' });
  await management.request('PUT', `user-limits/${user}/max-channels`, { value });
  try {
    const url = new URL(vhost.url);
    url.username = user;
    url.password = 'secret';
    await run(url.href, vhost.url);
  } finally {
    await management.deleteUser(user);
  }
}

it('stops what is begun beyond the channels that a user may have, and nothing that ran before', async () => {
  await withMaxChannels(3, async (url, adminUrl) => {
    await using broker = await Broker.connect(url);
    const make = (n: number) => queue(`q${n}`, z.number(), { type: 'classic', deadLetter: false });
    const handled: number[] = [];
    const before = [1, 2, 3].map((n) => broker.consumer(make(n), ({ body }) => void handled.push(body)));
    for (const consumer of before) await consumer.ready;
    const beyond = broker.consumer(make(4), () => undefined);
    await expect(beyond.ready).rejects.toThrow(/number of channels opened .* maximum allowed/s);
    await using other = await Broker.connect(adminUrl);
    for (const n of [1, 2, 3]) await other.producer(make(n)).send(n);
    await expect.poll(() => handled.toSorted(), { timeout: 20_000 }).toEqual([1, 2, 3]);
    await expect
      .poll(() => before.map(({ state }) => state.status))
      .toEqual(['running', 'running', 'running']);
  });
});

it('declares many contracts with few channels: one too many costs the connection once', async () => {
  await withMaxChannels(3, async (url) => {
    await using broker = await Broker.connect(url, { reconnect: { initialDelayMs: 1 } });
    const contracts = Array.from({ length: 20 }, (_, n) => queue(`q${n}`, z.number(), { type: 'classic' }));
    await broker.declare(...contracts);

    expect(await Promise.all(contracts.map((contract) => broker.stats(contract)))).toHaveLength(20);
  });
});
