import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  type BatchConsumerOptions,
  resolveBatchOptions,
} from '../../../../src/consumer/options/batch-options.js';
import { queue } from '../../../../src/contracts/queue.js';
import { thrownBy } from '../../support/track.js';

const readings = queue('readings', z.any());

describe('the options of a consumer of batches', () => {
  it('have the documented defaults', () => {
    const { batches, options } = resolveBatchOptions(readings);

    expect(batches).toEqual({ size: 100, maxWaitMs: 1_000 });
    expect(options).toMatchObject({
      concurrency: 1,
      prefetch: 200,
      handlerTimeoutMs: 1_200_000,
      noAck: false,
    });
  });

  it('have as much delivered ahead as the batches at work and the next one need', () => {
    expect(resolveBatchOptions(readings, { size: 10, concurrency: 3 }).options.prefetch).toBe(40);
    expect(resolveBatchOptions(readings, { size: 10, prefetch: 50 }).options.prefetch).toBe(50);
  });

  it.each<[string, object]>([
    ['size', { size: 0 }],
    ['size', { size: 10_001 }],
    ['size', { size: 10_000, concurrency: 10 }],
    ['maxWaitMs', { maxWaitMs: -1 }],
    ['maxWaitMs', { maxWaitMs: Number.POSITIVE_INFINITY }],
    ['concurrency', { concurrency: 0 }],
    ['prefetch', { size: 10, prefetch: 19 }],
    ['prefetch', { prefetch: 'auto' }],
    ['noAck', { noAck: true }],
    ['orderBy', { orderBy: () => 1 }],
    ['handlerTimeoutMs', { handlerTimeoutMs: 0 }],
  ])('refuse a wrong %s: %o', (option, options) => {
    const error = thrownBy(() => resolveBatchOptions(readings, options as BatchConsumerOptions));

    expect(error).toMatchObject({
      code: 'INVALID_OPTION',
      option,
      message: expect.stringContaining("'readings'"),
    });
  });
});

describe('the options of a consumer of batches of a single active consumer', () => {
  const single = queue('single', z.any(), { singleActiveConsumer: true });

  it('keep to the 20 messages that may wait there', () => {
    expect(resolveBatchOptions(single)).toMatchObject({ batches: { size: 20 }, options: { prefetch: 20 } });
    expect(resolveBatchOptions(single, { size: 5, concurrency: 2 }).options.prefetch).toBe(10);
    expect(thrownBy(() => resolveBatchOptions(single, { size: 21 }))).toMatchObject({ option: 'size' });
    expect(thrownBy(() => resolveBatchOptions(single, { size: 5, prefetch: 21 }))).toMatchObject({
      option: 'prefetch',
    });
  });
});
