import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ChildOptions } from '../programs/child.js';
import { now } from './journal.js';

const files = {
  producer: fileURLToPath(new URL('../programs/producer.ts', import.meta.url)),
  consumer: fileURLToPath(new URL('../programs/consumer.ts', import.meta.url)),
};

export type Role = keyof typeof files;

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process of the workload. */
export class Program implements AsyncDisposable {
  readonly role: Role;
  readonly name: string;
  readonly journal: string;
  readonly startedAt = now();
  readonly exited: Promise<Exit>;
  exit: Exit | undefined;
  /** Set when it was killed on purpose. */
  wasKilled = false;
  readonly #child: ChildProcess;
  readonly #outputs: readonly [stdout: string, stderr: string];

  constructor(role: Role, folder: string, options: Omit<ChildOptions, 'journal'>) {
    this.role = role;
    this.name = options.name;
    this.journal = join(folder, `${options.name}.jsonl`);
    // There also when the program does not get so far as to write it.
    closeSync(openSync(this.journal, 'a'));
    this.#outputs = [join(folder, `${options.name}.out`), join(folder, `${options.name}.err`)];
    const [out, err] = this.#outputs.map((path) => openSync(path, 'a'));
    const given: ChildOptions = { ...options, journal: this.journal };
    this.#child = spawn(
      process.execPath,
      ['--expose-gc', '--max-old-space-size=256', '--import', 'tsx', files[role], JSON.stringify(given)],
      { stdio: ['ignore', out, err], env: { PATH: process.env.PATH, NODE_ENV: 'test' } },
    );
    this.exited = once(this.#child, 'close').then(([code, signal]) => {
      this.exit = { code, signal } as Exit;
      return this.exit;
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Everything that it has printed and noted. */
  get printed(): string {
    return [...this.#outputs, this.journal].map(read).join('\n');
  }

  get stderr(): string {
    return read(this.#outputs[1]);
  }

  /** Asks it to end. */
  stop(): void {
    this.#child.kill('SIGTERM');
  }

  async kill(): Promise<void> {
    this.wasKilled = true;
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.kill();
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
