#!/usr/bin/env node
import { Console } from 'node:console';
import { EXIT, type ExitCode } from './failure.js';
import { run } from './run.js';

/** How long a command may take to clean up after an interrupt. */
const CLEAN_UP_MS = 5_000;

/** How long the last lines may take to be written. */
const FLUSH_MS = 2_000;

const { stdin, stdout, stderr, env } = process;

// On most systems this also replaces the command line in the list of processes, which may contain a password from --url.
process.title = 'leveret';

// stdout belongs to the command: contract modules print to stderr, which disturbs no pipe.
globalThis.console = new Console({ stdout: stderr, stderr });

const stopping = new AbortController();

function stop(exitCode: ExitCode): void {
  if (stopping.signal.aborted) process.exit(exitCode);
  stopping.abort(exitCode);
  setTimeout(() => process.exit(exitCode), CLEAN_UP_MS).unref();
}

process.on('SIGINT', () => stop(EXIT.interrupted));
process.on('SIGTERM', () => stop(EXIT.terminated));
// The reader is gone, as with `leveret queues | head`: the command ends silently.
for (const stream of [stdout, stderr]) {
  stream.on('error', () => {
    if (!stopping.signal.aborted) stop(EXIT.done);
  });
}

const exitCode = await run(process.argv.slice(2), { stdin, stdout, stderr, env }, stopping.signal);
await Promise.race([
  Promise.all([stdout, stderr].map(flushed)),
  new Promise((resolve) => setTimeout(resolve, FLUSH_MS)),
]);
// Modules of contracts may have started work that never ends.
process.exit(exitCode);

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.destroyed || !stream.writable) return Promise.resolve();
  return new Promise((resolve) => stream.write('', () => resolve()));
}
