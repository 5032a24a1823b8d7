import { describe, expect, it } from 'vitest';
import { RoundTripTimeout } from '../../../../src/transport/rabbitmq/round-trip-timeout.js';
import { deferred } from '../../../../src/util/promises.js';
import { FakeClock, turn } from '../../support/fake-clock.js';
import { track } from '../../support/track.js';

function bench() {
  const clock = new FakeClock();
  const limit = new RoundTripTimeout(clock, 15_000);
  const answer = deferred<string>();
  const asked = () => track(limit.within(answer.promise, () => new Error('too late')));
  return { clock, limit, answer, asked };
}

describe('the limit of an answer', () => {
  it('passes the answer on, and leaves no timer', async () => {
    const { clock, answer, asked } = bench();
    const asking = asked();
    answer.resolve('here');
    await turn();
    expect(asking).toMatchObject({ state: 'resolved', value: 'here' });
    expect(clock.armed).toBe(0);
  });

  it('passes a refusal on, and leaves no timer', async () => {
    const { clock, answer, asked } = bench();
    const asking = asked();
    answer.reject(new Error('refused'));
    await turn();
    expect(asking).toMatchObject({ state: 'rejected', error: { message: 'refused' } });
    expect(clock.armed).toBe(0);
  });

  it('ends the wait when it is over', async () => {
    const { clock, asked } = bench();
    const asking = asked();
    await clock.pass(14_999);
    expect(asking.state).toBe('pending');
    await clock.pass(1);
    expect(asking).toMatchObject({ state: 'rejected', error: { message: 'too late' } });
  });

  it.each(['before', 'after'] as const)(
    'does not run while it is paused, from %s the question on',
    async (when) => {
      const { clock, limit, answer, asked } = bench();
      if (when === 'before') limit.pause();
      const asking = asked();
      if (when === 'after') limit.pause();
      await clock.pass(24 * 60 * 60_000);
      expect(asking.state).toBe('pending');
      expect(clock.armed).toBe(0);
      answer.resolve('at last');
      await turn();
      expect(asking.value).toBe('at last');
    },
  );

  it('begins again when it is resumed', async () => {
    const { clock, limit, asked } = bench();
    const asking = asked();
    await clock.pass(14_000);
    limit.pause();
    limit.pause();
    await clock.pass(60_000);
    limit.resume();
    limit.resume();
    await clock.pass(14_999);
    expect(asking.state).toBe('pending');
    await clock.pass(1);
    expect(asking.state).toBe('rejected');
    expect(clock.armed).toBe(0);
  });

  it('lets go of an unneeded answer as soon as it is paused', async () => {
    const { clock, limit, answer } = bench();
    const first = track(limit.unlessPaused(answer.promise));
    await turn();
    expect(first.state).toBe('pending');
    limit.pause();
    await turn();
    expect(first.state).toBe('resolved');
    const second = track(limit.unlessPaused(answer.promise));
    await turn();
    expect(second.state).toBe('resolved');
    limit.resume();
    const third = track(limit.unlessPaused(answer.promise));
    await turn();
    expect(third.state).toBe('pending');
    answer.reject(new Error('gone'));
    await turn();
    expect(third.state).toBe('resolved');
    expect(clock.armed).toBe(0);
  });
});
