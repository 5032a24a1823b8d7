/** Warnings of the process for what would otherwise fail without a word: each once for each subject. */
export class Warnings {
  readonly #told = new Set<string>();

  /**
   * @param code - `LEVERET_…`, by which `process.on('warning')` tells them apart
   * @param subject - what it is about, such as a queue's name
   */
  once(code: `LEVERET_${string}`, subject: string, text: string): void {
    const key = `${code} ${subject}`;
    if (this.#told.has(key) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(key);
    process.emitWarning(text, { type: 'LeveretWarning', code });
  }
}

/** The most subjects that are told of: names of queues may come without end. */
const MAX_TOLD = 1_000;
