/** The relays that an outbox wakes after a commit. */
export class CommitListeners {
  readonly #listeners = new Set<() => void>();

  /** Calls back after each {@link committed}; the returned function unsubscribes. */
  readonly onCommitted = (listener: () => void): (() => void) => {
    // A new function, since the same listener may be added twice.
    const call = () => listener();
    this.#listeners.add(call);
    return () => {
      this.#listeners.delete(call);
    };
  };

  readonly committed = (): void => {
    for (const call of [...this.#listeners]) call();
  };
}
