import { createReadStream, openSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** What becomes of a message in its handler. */
export type Kind = 'plain' | 'slow' | 'flaky' | 'later' | 'stubborn' | 'dead' | 'blocking' | 'invalid';

/** What a program of the workload notes, at a time of {@link now}. */
export type Note =
  | { readonly e: 'ready' }
  | { readonly e: 'send'; readonly k: string; readonly kind: Kind; readonly queue: string }
  | { readonly e: 'sent'; readonly k: string; readonly id: string | undefined }
  | { readonly e: 'failed'; readonly k: string; readonly code: string; readonly maybeDelivered?: boolean }
  | {
      readonly e: 'start';
      readonly k: string;
      readonly run: number;
      readonly id: string | undefined;
      readonly attempt: number;
      readonly redelivered: boolean;
    }
  | { readonly e: 'end'; readonly k: string; readonly run: number; readonly how: 'done' | 'failed' }
  | { readonly e: 'event'; readonly name: string }
  | { readonly e: 'asked'; readonly ms: number; readonly ok: boolean }
  | { readonly e: 'memory'; readonly heapBytes: number; readonly rssBytes: number }
  | { readonly e: 'closed'; readonly clean: boolean; readonly ms: number };

export type Entry = Note & { readonly t: number };

/** Milliseconds of a clock that all processes of this machine share. */
export function now(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Notes what a program does, each time before it goes on: what is noted is true also when the process is killed right after. */
export class Journal {
  readonly #file: number;

  constructor(path: string) {
    this.#file = openSync(path, 'a');
  }

  note(note: Note): void {
    writeSync(this.#file, `${JSON.stringify({ t: now(), ...note })}\n`);
  }
}

/** Everything that a program noted. A last line that a kill has cut short is left out. */
export async function* readJournal(path: string): AsyncGenerator<Entry> {
  for await (const line of createInterface({ input: createReadStream(path) })) {
    if (line.endsWith('}')) yield JSON.parse(line) as Entry;
  }
}
