import { describe, expect, it } from 'vitest';
import { Condition } from '../../../src/util/condition.js';
import { turn } from '../support/fake-clock.js';

describe('a condition', () => {
  it('wakes everyone who waits', async () => {
    const condition = new Condition();
    const woken: string[] = [];
    void condition.wait().then(() => woken.push('first'));
    void condition.wait().then(() => woken.push('second'));
    expect(condition.isAwaited).toBe(true);
    condition.notify();
    await turn();
    expect(woken).toEqual(['first', 'second']);
    expect(condition.isAwaited).toBe(false);
  });

  it('does not wake a caller that began to wait afterwards', async () => {
    const condition = new Condition();
    condition.notify();
    let isWoken = false;
    void condition.wait().then(() => {
      isWoken = true;
    });
    await turn();
    expect(isWoken).toBe(false);
    condition.notify();
    await turn();
    expect(isWoken).toBe(true);
  });
});
