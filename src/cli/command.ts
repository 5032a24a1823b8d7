import type { OptionSpecs, OptionValues } from './arguments.js';
import type { ExitCode } from './failure.js';
import type { Secrets } from './secrets.js';
import type { Terminal } from './terminal.js';

/** What a running command has: its arguments, and the terminal that it answers through. */
export interface Invocation {
  readonly positionals: readonly string[];
  readonly values: OptionValues;
  /** stdout is one JSON document, or one per line. */
  readonly json: boolean;
  readonly terminal: Terminal;
  readonly stdin: AsyncIterable<string | Buffer>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly secrets: Secrets;
  /** Aborts at SIGINT and SIGTERM, and when stdout is closed: the command cleans up and ends. */
  readonly signal: AbortSignal;
}

/** Runs a command, and returns its exit code. */
export type Run = (invocation: Invocation) => Promise<ExitCode>;

/** A command as data: what its help, its parser and the completion need. */
export interface Command {
  /** One word, or two: `dead list`. */
  readonly name: string;
  readonly summary: string;
  /** The arguments after the name, such as `QUEUE [BODY]`. */
  readonly usage: string;
  /** The least and the most arguments. */
  readonly positionals: readonly [min: number, max: number];
  /** The kind of the first argument, for the completion. */
  readonly completes?: 'queue' | 'file' | 'shell';
  readonly options: OptionSpecs;
  readonly examples: readonly string[];
  /** Further notes, a paragraph each. */
  readonly notes?: readonly string[];
}
