import type { OptionSpecs, OptionValues } from './arguments.js';
import type { ExitCode } from './failure.js';
import type { Secrets } from './secrets.js';
import type { Terminal } from './terminal.js';

/** What a running command has: what was asked of it, and what it answers through. */
export interface Invocation {
  readonly positionals: readonly string[];
  readonly values: OptionValues;
  /** stdout is one JSON document, or one a line. */
  readonly json: boolean;
  readonly terminal: Terminal;
  readonly stdin: AsyncIterable<string | Buffer>;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly secrets: Secrets;
  /** Aborts at SIGINT and SIGTERM, and when stdout is closed: the command cleans up and ends. */
  readonly signal: AbortSignal;
}

/** Runs a command, and says how the process ends. */
export type Run = (invocation: Invocation) => Promise<ExitCode>;

/** A command as data: what its help, its parser and the completion need. */
export interface Command {
  /** One word, or two: `dead list`. */
  readonly name: string;
  readonly summary: string;
  /** What stands behind the name, such as `QUEUE [BODY]`. */
  readonly usage: string;
  /** How many of these have to be there, and can be. */
  readonly positionals: readonly [min: number, max: number];
  /** What the first of them is, for the completion. */
  readonly completes?: 'queue' | 'file' | 'shell';
  readonly options: OptionSpecs;
  readonly examples: readonly string[];
  /** More of what somebody should know, a paragraph each. */
  readonly notes?: readonly string[];
}
