import { ERRORS_PAGE } from '../errors.js';

/** Node prints this line after the warning. */
const HELP = `${ERRORS_PAGE}#warnings-of-the-process`;

/** Process warnings for what would otherwise fail silently: each code once per subject. */
export class Warnings {
  readonly #told = new Set<string>();

  /**
   * @param code - `LEVERET_…`, by which a listener of `process.on('warning')` tells the warnings apart
   * @param subject - what the warning is about, such as a queue's name
   */
  once(code: `LEVERET_${string}`, subject: string, text: string): void {
    const key = `${code} ${subject}`;
    if (this.#told.has(key) || this.#told.size >= MAX_TOLD) return;
    this.#told.add(key);
    process.emitWarning(text, { type: 'LeveretWarning', code, detail: HELP });
  }
}

/** The most subjects that are remembered, because queue names may be generated without end. */
const MAX_TOLD = 1_000;
