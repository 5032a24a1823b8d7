import { describe, expect, it } from 'vitest';
import { CommitListeners } from '../../../src/outbox/commit-listeners.js';

describe('the listeners for commits', () => {
  it('are called after each commit until they unsubscribe', () => {
    const { committed, onCommitted } = new CommitListeners();
    let calls = 0;
    const unsubscribe = onCommitted(() => calls++);
    committed();
    committed();
    unsubscribe();
    committed();

    expect(calls).toBe(2);
  });

  it('are kept apart when the same one is added twice', () => {
    const { committed, onCommitted } = new CommitListeners();
    let calls = 0;
    const listener = () => calls++;
    const unsubscribe = onCommitted(listener);
    onCommitted(listener);
    unsubscribe();
    committed();

    expect(calls).toBe(1);
  });
});
