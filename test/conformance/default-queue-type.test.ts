import { queue } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { Seen } from './helpers.js';
import { suite } from './suite.js';

const alarms = queue('alarms', z.object({ room: z.int() }), { type: 'classic', maxPriority: 3 });

suite(
  'where queues without a type become quorum queues',
  {
    'a classic queue is one all the same': async (bench) => {
      const broker = await bench.connect();
      await broker.declare(alarms);
      const producer = broker.producer(alarms);
      for (const [room, priority] of [
        [1, 1],
        [2, 3],
      ] as const)
        await producer.send({ room }, { priority });
      const seen = new Seen<{ room: number }>();
      broker.consumer(alarms, seen.handler);
      await expect.poll(() => seen.messages.length).toBe(2);
      expect(seen.bodies.map(({ room }) => room)).toEqual([2, 1]);
    },
  },
  { defaultQueueType: 'quorum' },
);
