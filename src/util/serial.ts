/** Runs one command at a time, in the order of the calls. */
export class Serial {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs the command once the earlier ones have settled. Settles as it does. */
  run<T>(command: () => Promise<T>): Promise<T> {
    const result = this.#last.then(command);
    this.#last = result.catch(() => {});
    return result;
  }
}
