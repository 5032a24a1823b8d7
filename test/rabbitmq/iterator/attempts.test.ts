import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

const tasks = queue('tasks', z.number());

describe('a loop that is left with a message in hand', () => {
  it('counts that as one attempt, not as two', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const consumer = broker.consumer(tasks);
    await broker.producer(tasks).send(1);
    const attempts: number[] = [];

    for (let round = 0; round < 4; round++) {
      for await (const { attempt } of consumer) {
        attempts.push(attempt);
        break;
      }
    }

    expect(attempts).toEqual([1, 2, 3, 4]);
  });
});
