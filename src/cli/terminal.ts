import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { styleText } from 'node:util';
import { CommandFailure, EXIT, usageError } from './failure.js';

/** The streams of a process that a command uses. */
export interface Streams {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly env: Readonly<Record<string, string | undefined>>;
}

export type Paint = (text: string) => string;

/** Colours by meaning. */
export interface Palette {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly good: Paint;
  readonly warning: Paint;
  readonly bad: Paint;
}

const PLAIN: Palette = {
  bold: (text) => text,
  dim: (text) => text,
  good: (text) => text,
  warning: (text) => text,
  bad: (text) => text,
};

/** Node's own `styleText`, which needs no package. Whether to use colours is decided here. */
const COLOURED: Palette = {
  bold: (text) => style('bold', text),
  dim: (text) => style('dim', text),
  good: (text) => style('green', text),
  warning: (text) => style('yellow', text),
  bad: (text) => style('red', text),
};

function style(format: 'bold' | 'dim' | 'green' | 'yellow' | 'red', text: string): string {
  return text === '' ? '' : styleText(format, text, { validateStream: false });
}

/** Where a command prints and asks. Text from outside has to be made printable first. */
export class Terminal {
  /** Colours of what goes to stdout. */
  readonly palette: Palette;
  /** Colours of what goes to stderr. */
  readonly errorPalette: Palette;
  /** The width of a line; undefined without a terminal, such as in a file. */
  readonly width: number | undefined;
  readonly #streams: Streams;
  readonly #hasProgress: boolean;
  #progress = '';

  constructor(streams: Streams) {
    this.#streams = streams;
    this.palette = hasColour(streams, streams.stdout) ? COLOURED : PLAIN;
    this.errorPalette = hasColour(streams, streams.stderr) ? COLOURED : PLAIN;
    this.width = streams.stdout.isTTY ? (streams.stdout.columns ?? 80) : undefined;
    this.#hasProgress = streams.stderr.isTTY === true && !hasNoColour(streams) && streams.env.TERM !== 'dumb';
  }

  /** Prints lines to stdout. Resolves when there is room for more. */
  async print(...lines: readonly string[]): Promise<void> {
    this.clearProgress();
    const { stdout } = this.#streams;
    if (stdout.destroyed || stdout.writableEnded) return;
    const text = lines.map((line) => `${line}\n`).join('');
    if (stdout.write(text)) return;
    await new Promise<void>((resolve) => {
      stdout.once('drain', resolve);
      stdout.once('close', resolve);
    });
  }

  /** Prints a line to stderr. */
  warn(line: string): void {
    this.clearProgress();
    if (this.#streams.stderr.writable) this.#streams.stderr.write(`${line}\n`);
  }

  /** Prints a line to stderr for a human: nothing if stderr is not a terminal. */
  hint(line: string): void {
    if (this.#streams.stderr.isTTY) this.warn(this.errorPalette.dim(line));
  }

  /** Shows progress, replacing what was shown before. Nothing if stderr is not a terminal, or has no colours. */
  progress(label: string, done: number, total: number | undefined): void {
    if (!this.#hasProgress) return;
    const counts = total === undefined ? `${done}` : `${done}/${total}`;
    this.#progress = `${label} ${total === undefined ? '' : `${bar(done, total)} `}${counts}`;
    this.#streams.stderr.write(`\r\u001b[2K${this.#progress}`);
  }

  clearProgress(): void {
    if (this.#progress === '') return;
    this.#progress = '';
    this.#streams.stderr.write('\r\u001b[2K');
  }

  /** True when a user can be asked. */
  get canAsk(): boolean {
    return this.#streams.stdin.isTTY === true && this.#streams.stderr.isTTY === true;
  }

  /** Fails at once if {@link confirm} could not be answered, before anything is read or connected. */
  requireConsent(what: string, isGiven: boolean): void {
    if (!isGiven && !this.canAsk) throw usageError(`${what} needs --yes without a terminal`);
  }

  /**
   * Asks, unless `--yes` has answered.
   *
   * @throws CommandFailure when the answer is no
   */
  async confirm(question: string, isGiven: boolean, signal: AbortSignal): Promise<void> {
    if (isGiven) return;
    if (!this.canAsk) throw usageError('this needs --yes without a terminal');
    this.clearProgress();
    const { stdin, stderr } = this.#streams;
    const asking = createInterface({ input: stdin, output: stderr });
    // In raw mode Ctrl-C arrives as a key rather than a signal.
    asking.once('SIGINT', () => process.kill(process.pid, 'SIGINT'));
    try {
      const ended = new Promise<string>((resolve) => asking.once('close', () => resolve('')));
      const answer = await Promise.race([asking.question(`${question} [y/N] `, { signal }), ended]);
      if (!/^y(?:es)?$/i.test(answer.trim())) throw new CommandFailure(EXIT.no, 'nothing was done');
    } finally {
      asking.close();
    }
  }
}

/** https://no-color.org: present and not empty. */
function hasNoColour({ env }: Streams): boolean {
  return env.NO_COLOR !== undefined && env.NO_COLOR !== '';
}

/** `FORCE_COLOR` overrides all others, as it does for Node itself; `0` and `false` force colours off. */
function hasColour(streams: Streams, stream: { readonly isTTY?: boolean }): boolean {
  const { FORCE_COLOR: forced, TERM } = streams.env;
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return stream.isTTY === true && !hasNoColour(streams) && TERM !== 'dumb';
}

function bar(done: number, total: number): string {
  const width = 24;
  const full = total <= 0 ? width : Math.round((Math.min(done, total) / total) * width);
  return `${'█'.repeat(full)}${'░'.repeat(width - full)}`;
}
