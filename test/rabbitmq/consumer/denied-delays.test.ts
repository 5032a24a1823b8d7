import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

it.each(['classic', 'quorum'] as const)(
  'a message of a %s queue has no more attempts where its user may not use delays, which is told',
  async (type) => {
    await using vhost = await createVhost();
    const { management } = vhost;
    const user = vhost.name;
    const own = '^jobs';
    await management.createUser(user, 'secret', {
      configure: own,
      write: `${own}|^amq\\.default$`,
      read: own,
    });
    const url = Object.assign(new URL(vhost.url), { username: user, password: 'secret' }).href;
    const lines: string[] = [];
    const logger = {
      debug() {},
      info() {},
      warn: (_: object, text: string) => void lines.push(text),
      error() {},
    };
    try {
      await using broker = await Broker.connect(url, { logger });
      const jobs = queue('jobs', z.number(), {
        type,
        retry: { attempts: 3, initialDelayMs: 100, jitter: false },
      });
      const attempts: number[] = [];
      const consumer = broker.consumer(jobs, ({ attempt }) => {
        attempts.push(attempt);
        throw new Error('no');
      });
      await consumer.ready;
      await broker.producer(jobs).send(1);

      await expect.poll(() => consumer.stats.deadLettered, { timeout: 20_000 }).toBe(1);
      expect(attempts).toEqual([1, 2, 3]);
      expect(lines).toContainEqual(expect.stringMatching(/'jobs'.*leveret\.delay/));
    } finally {
      await management.deleteUser(user);
    }
  },
);
