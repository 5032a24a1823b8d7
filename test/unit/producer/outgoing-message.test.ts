import { describe, expect, it } from 'vitest';
import { dueInMs } from '../../../src/producer/outgoing-message.js';

describe('the time until a message is due', () => {
  it.each([
    ['without a delay', {}, undefined],
    ['without any delay left', { delayMs: 0 }, undefined],
    ['after a delay', { delayMs: 250 }, 250],
    ['at a date', { deliverAt: new Date(5_000) }, 4_000],
    ['at a date in the past', { deliverAt: new Date(999) }, undefined],
  ])('is known %s', (_, options, expected) => {
    expect(dueInMs(options, 1_000)).toBe(expected);
  });
});
