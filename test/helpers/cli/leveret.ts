import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { inject } from 'vitest';

/** The module of `test/cli/contracts.ts`, built. */
export const contractsFile = () => resolve(inject('cli'), 'contracts.mjs');

/** What a run of the command has come to. */
export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LeveretOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** What stdin has; nothing by default. */
  readonly input?: string;
}

/** A run that is still going on. */
export interface Running {
  readonly pid: number;
  /** What stdout has so far. */
  readonly stdout: () => string;
  readonly kill: (signal: NodeJS.Signals) => void;
  /** Its output is closed. */
  readonly closeOutput: () => void;
  readonly ended: Promise<Outcome>;
}

/** Starts the command as a process of its own, with an environment that has nothing of this one's servers. */
export function startLeveret(
  args: readonly string[],
  { env = {}, input = '' }: LeveretOptions = {},
): Running {
  const { PATH, HOME } = process.env;
  const child = spawn(process.execPath, [resolve(inject('cli'), 'cli.mjs'), ...args], {
    env: { PATH, HOME, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // It may end before it has read all.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    kill: (signal) => void child.kill(signal),
    closeOutput: () => child.stdout.destroy(),
    ended: once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr })),
  };
}

/** Runs the command to its end. */
export function leveret(args: readonly string[], options?: LeveretOptions): Promise<Outcome> {
  return startLeveret(args, options).ended;
}
