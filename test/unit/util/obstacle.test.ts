import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Obstacle } from '../../../src/util/obstacle.js';
import { realTimers } from '../../../src/util/timers.js';

let now = 0;
beforeEach(() => {
  now = 1_000;
  vi.spyOn(realTimers, 'now').mockImplementation(() => now);
});
afterEach(() => vi.restoreAllMocks());

describe('an obstacle', () => {
  it('is told once it has lasted, and when it is gone after that', () => {
    const told: unknown[] = [];
    const obstacle = new Obstacle((reason) => told.push(reason));
    obstacle.met(new Error('first'));
    now += 4_999;
    obstacle.met(new Error('second'));
    expect({ told, reason: obstacle.reason }).toEqual({ told: [], reason: 'second' });
    now += 1;
    obstacle.met(new Error('third'));
    obstacle.met(new Error('fourth'));
    expect(told).toEqual(['third']);
    obstacle.passed();
    obstacle.passed();
    expect({ told, reason: obstacle.reason }).toEqual({ told: ['third', undefined], reason: undefined });
  });

  it('is not told if it does not last', () => {
    const told: unknown[] = [];
    const obstacle = new Obstacle((reason) => told.push(reason));
    for (let time = 0; time < 10; time++) {
      obstacle.met(new Error('a restart'));
      now += 1_000;
      obstacle.passed();
    }
    expect(told).toEqual([]);
  });
});
