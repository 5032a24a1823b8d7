import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

it('stops what is begun beyond the channels that a user may have, and nothing that ran before', async () => {
  await using vhost = await createVhost();
  const { management } = vhost;
  const user = vhost.name;
  await management.createUser(user, 'secret', { configure: '.*', write: '.*', read: '.*' });
  await management.request('PUT', `user-limits/${user}/max-channels`, { value: 3 });
  try {
    const url = new URL(vhost.url);
    url.username = user;
    url.password = 'secret';
    await using broker = await Broker.connect(url.href);
    const make = (n: number) => queue(`q${n}`, z.number(), { type: 'classic', deadLetter: false });
    const handled: number[] = [];
    const before = [1, 2, 3].map((n) => broker.consumer(make(n), ({ body }) => void handled.push(body)));
    for (const consumer of before) await consumer.ready;
    const beyond = broker.consumer(make(4), () => undefined);
    await expect(beyond.ready).rejects.toThrow(/number of channels opened .* maximum allowed/s);
    await using other = await Broker.connect(vhost.url);
    for (const n of [1, 2, 3]) await other.producer(make(n)).send(n);
    await expect.poll(() => handled.toSorted(), { timeout: 20_000 }).toEqual([1, 2, 3]);
    await expect
      .poll(() => before.map(({ state }) => state.status))
      .toEqual(['running', 'running', 'running']);
  } finally {
    await management.deleteUser(user);
  }
});
