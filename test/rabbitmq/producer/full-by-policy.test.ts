import { Broker, queue, RejectedError } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

it.each(['quorum', 'classic'] as const)(
  'a %s queue that a policy limits refuses at once, also when it was full before, and holds up no other',
  async (type) => {
    await using vhost = await createVhost();
    await vhost.management.putPolicy('limits', {
      pattern: '^small$',
      definition: { 'max-length': 2, overflow: 'reject-publish' },
      applyTo: 'queues',
    });
    const small = queue('small', z.number(), { type, deadLetter: false });
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(small);
    await broker.declare(small);
    // A policy is applied a moment after the declaration; a queue takes some more before it refuses.
    const isFull = () =>
      producer.send(0).then(
        () => false,
        (error: unknown) => error instanceof RejectedError,
      );
    await expect.poll(isFull, { timeout: 20_000, interval: 1 }).toBe(true);

    await using fresh = await Broker.connect(vhost.url);
    await fresh.producer(queue('other', z.number(), { type: 'classic', deadLetter: false })).send(0);
    for (const sender of [producer, fresh.producer(small)]) {
      for (let n = 0; n < 5; n++) {
        const before = performance.now();
        await expect(sender.send(n)).rejects.toBeInstanceOf(RejectedError);
        expect(performance.now() - before).toBeLessThan(1_000);
      }
    }
    await broker.purge(small);
    await expect
      .poll(
        () =>
          producer.send(9).then(
            () => 'taken',
            () => 'refused',
          ),
        { interval: 1 },
      )
      .toBe('taken');
  },
);
