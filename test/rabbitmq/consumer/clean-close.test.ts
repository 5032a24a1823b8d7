import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { createVhost } from '../../helpers/server/index.js';

const numbers = queue('numbers', z.number());
const LAST = -1;

describe('a clean close of a consumer of a quorum queue', () => {
  it.each([1, 2, 3])(
    'leaves nothing behind that was acknowledged, with 60 handlers at work and 100 messages unseen (%i)',
    async () => {
      await using vhost = await createVhost();
      const [sender, worker] = [await Broker.connect(vhost.url), await Broker.connect(vhost.url)];
      await sender.producer(numbers).sendAll(Array.from({ length: 160 }, (_, n) => n));
      using working = gate();
      const consumer = worker.consumer(numbers, () => working.opened, { concurrency: 60, prefetch: 160 });
      await expect
        .poll(() => consumer.stats, { timeout: 10_000 })
        .toMatchObject({ inFlight: 60, waiting: 100 });
      const closing = worker.close();
      working.open();
      expect(await closing).toEqual({ clean: true });
      expect(consumer.stats.acked).toBe(60);
      // What comes back stands before it.
      await sender.producer(numbers).send(LAST);
      const seen: number[] = [];
      sender.consumer(numbers, ({ body }) => void seen.push(body), { prefetch: 200 });
      await expect.poll(() => seen.at(-1), { timeout: 20_000 }).toBe(LAST);
      expect(seen.length).toBe(101);
      await sender.close();
    },
  );
});
