import { expect, it } from 'vitest';
import { LEVELS } from '../../../src/delay/levels.js';
import { commonSteps, delayQueueSteps } from '../../../src/delay/topology.js';

it('says the type of every queue, so that no default of a virtual host decides about it', () => {
  const steps = [
    ...commonSteps(LEVELS.length),
    ...LEVELS.flatMap(({ queues }, at) => queues.flatMap((queue) => delayQueueSteps(at, queue, 'low'))),
  ];
  const types = steps.flatMap((step) =>
    step.kind === 'queue' ? [step.queue.arguments['x-queue-type']] : [],
  );
  expect(types.length).toBeGreaterThan(LEVELS.length);
  expect(new Set(types)).toEqual(new Set(['quorum', 'classic']));
});
