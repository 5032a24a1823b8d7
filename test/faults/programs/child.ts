import { inspect } from 'node:util';
import type { BrokerOptions } from 'leveret';
import { Journal } from '../harness/journal.js';

/** What a program of the workload is told. */
export interface ChildOptions {
  readonly name: string;
  readonly url: string;
  readonly journal: string;
  /** `leveret`, or one that is broken on purpose. */
  readonly client: string;
  /** Messages per second. */
  readonly rate: number;
  readonly seed: number;
  /** Plain messages to one queue only. */
  readonly isPlain: boolean;
  /** How long a slow handler takes, in milliseconds. */
  readonly slowMs: number;
}

export const options = JSON.parse(process.argv[2] ?? '{}') as ChildOptions;
export const journal = new Journal(options.journal);

const stop = new AbortController();
/** Aborts when the program is to end: by itself, with nothing left to do. */
export const stopping = stop.signal;
process.once('SIGTERM', () => stop.abort());

const MEMORY_EVERY_MS = 5_000;
setInterval(() => {
  global.gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  journal.note({ e: 'memory', heapBytes: heapUsed, rssBytes: rss });
}, MEMORY_EVERY_MS).unref();

/** Writes what would be logged, to be searched for passwords. */
const log = (details: object, message: string) =>
  void process.stdout.write(
    `${message} ${inspect(details, { depth: 8, breakLength: Number.POSITIVE_INFINITY })}\n`,
  );

/** How the workload uses a broker: quick to notice a dead connection, and to come back to a server that fails every other second. */
export const brokerOptions: BrokerOptions = {
  name: options.name,
  heartbeatSeconds: 1,
  reconnect: { initialDelayMs: 50, refusedMaxDelayMs: 500, maxDelayMs: 500 },
  logger: { debug: log, info: log, warn: log, error: log },
};
