import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { resolveConsumerOptions } from '../../../../src/consumer/options/consumer-options.js';
import { queue } from '../../../../src/contracts/queue.js';
import { ConfigurationError } from '../../../../src/errors.js';
import { thrownBy } from '../../support/track.js';

const quorum = queue('emails', z.any());
const classic = queue('emails', z.any(), { type: 'classic' });

describe('the options of a consumer', () => {
  it('have the documented defaults', () => {
    expect(resolveConsumerOptions(quorum)).toMatchObject({
      concurrency: 1,
      handlerTimeoutMs: 1_200_000,
      signal: undefined,
      priority: undefined,
      exclusive: false,
      noAck: false,
    });
  });

  it('are taken as they are given', () => {
    const { signal } = new AbortController();
    const options = {
      concurrency: 10,
      prefetch: 17,
      handlerTimeoutMs: Number.POSITIVE_INFINITY,
      signal,
      priority: -3,
      exclusive: true,
      noAck: true,
    };

    expect(resolveConsumerOptions(classic, options)).toMatchObject(options);
  });

  it.each([
    ['concurrency', 0],
    ['concurrency', 10_001],
    ['concurrency', 1.5],
    ['prefetch', 0],
    ['prefetch', 65_536],
    ['prefetch', 'all'],
    ['handlerTimeoutMs', 0],
    ['handlerTimeoutMs', 2 ** 31],
    ['signal', {}],
    ['priority', 1_000_001],
    ['priority', '1'],
    ['exclusive', 1],
    ['noAck', 'yes'],
    ['parallel', 5],
  ])('refuse a wrong %s: %o', (option, value) => {
    const error = thrownBy(() => resolveConsumerOptions(classic, { [option]: value }));

    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({
      option,
      message: expect.stringContaining("consumer of the queue 'emails'"),
    });
  });

  it('refuse a prefetch below the concurrency, which could never be reached', () => {
    expect(thrownBy(() => resolveConsumerOptions(quorum, { concurrency: 5, prefetch: 4 }))).toMatchObject({
      code: 'INVALID_OPTION',
      option: 'prefetch',
      message: expect.stringMatching(/at least 'concurrency', here 5, got 4/),
    });
    expect(resolveConsumerOptions(quorum, { concurrency: 5, prefetch: 5 }).prefetch).toBe(5);
    expect(resolveConsumerOptions(quorum, { concurrency: 70 }).prefetch).toBeGreaterThanOrEqual(70);
  });

  it('let at most 20 messages wait with a single active consumer', () => {
    const single = queue('single', z.any(), { singleActiveConsumer: true });
    expect(resolveConsumerOptions(single).prefetch).toBeLessThanOrEqual(20);
    expect(resolveConsumerOptions(single, { concurrency: 20 }).prefetch).toBe(20);
    for (const options of [{ prefetch: 21 }, { concurrency: 21 }]) {
      const error = thrownBy(() => resolveConsumerOptions(single, options));
      expect(error).toMatchObject({
        option: Object.keys(options)[0],
        message: expect.stringMatching(/at most 20/),
      });
    }
  });

  it('refuse an exclusive consumer of a quorum queue, and say what to do instead', () => {
    const error = thrownBy(() => resolveConsumerOptions(quorum, { exclusive: true }));

    expect(error).toMatchObject({
      option: 'exclusive',
      message: expect.stringContaining('singleActiveConsumer'),
    });
    expect(resolveConsumerOptions(quorum, { exclusive: false }).exclusive).toBe(false);
  });
});

describe('what RabbitMQ would refuse, or not hold to,', () => {
  const single = queue('single', z.any(), { type: 'classic', singleActiveConsumer: true });
  const stream = queue('log', z.any(), { type: 'stream' });

  it.each([
    ['exclusive', quorum, { exclusive: true }, /singleActiveConsumer/],
    ['exclusive', single, { exclusive: true }, /single-active-consumer/],
    ['exclusive', stream, { exclusive: true }, /stream/],
    ['noAck', stream, { noAck: true }, /stream/],
    ['priority', stream, { priority: 1 }, /stream/],
    ['offset', classic, { offset: 'first' }, /only a stream/],
  ] as const)('is an error that names %s', (option, contract, options, words) => {
    const error = thrownBy(() => resolveConsumerOptions(contract, options));

    expect(error).toMatchObject({ code: 'INVALID_OPTION', option, message: expect.stringMatching(words) });
  });
});
