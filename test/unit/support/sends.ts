import type { Receipt } from '../../../src/producer/publisher/pending-send.js';
import type { AnySendOptions } from '../../../src/producer/send-options.js';
import { turn } from './fake-clock.js';

/** A producer whose sends the test settles. */
export class Sends {
  readonly open = new Map<unknown, { resolve: () => void; reject: (error: Error) => void }>();
  readonly begun: unknown[] = [];
  readonly options: (AnySendOptions | undefined)[] = [];
  most = 0;

  readonly send = (body: unknown, options: AnySendOptions | undefined): Promise<Receipt> => {
    this.begun.push(body);
    this.options.push(options);
    const sent = new Promise<Receipt>((resolve, reject) => {
      this.open.set(body, { resolve: () => resolve({ messageId: String(body) }), reject });
    });
    this.most = Math.max(this.most, this.open.size);
    return sent;
  };

  confirm(...bodies: unknown[]): void {
    for (const body of bodies) {
      this.open.get(body)?.resolve();
      this.open.delete(body);
    }
  }

  fail(body: unknown, error: Error): void {
    this.open.get(body)?.reject(error);
    this.open.delete(body);
  }

  /** Confirms everything, also what is sent only then. */
  async confirmAll(): Promise<void> {
    while (this.open.size > 0) {
      this.confirm(...this.open.keys());
      await turn();
    }
  }
}

/** Bodies: 0, 1, 2 … */
export const numbers = (count: number) => Array.from({ length: count }, (_, index) => index);

/** These bodies, each a moment after the other. */
export async function* slowly(...bodies: number[]) {
  for (const body of bodies) {
    await Promise.resolve();
    yield body;
  }
}
