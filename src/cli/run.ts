import { isLeveretError } from '../errors.js';
import { VERSION } from '../version.js';
import { parse } from './arguments.js';
import type { Command } from './command.js';
import { commandOf, commands, commandsUnder, commonOptions } from './commands.js';
import { CommandFailure, EXIT, type ExitCode, usageError } from './failure.js';
import { commandHelp, overview } from './help.js';
import { programOf } from './programs.js';
import { Secrets, shown } from './secrets.js';
import { type Streams, Terminal } from './terminal.js';
import { nearest, printable } from './text.js';

/**
 * Runs one command line.
 *
 * @param signal - aborts with the exit code as its reason
 * @returns the exit code. Never rejects
 */
export async function run(line: readonly string[], streams: Streams, signal: AbortSignal): Promise<ExitCode> {
  const terminal = new Terminal(streams);
  const secrets = new Secrets();
  try {
    return await dispatch(line, streams, { terminal, secrets, signal });
  } catch (error) {
    if (signal.aborted) return signal.reason as ExitCode;
    terminal.warn(terminal.errorPalette.bad('leveret:') + secrets.hide(` ${textOf(error)}`));
    return exitCodeOf(error);
  } finally {
    terminal.clearProgress();
  }
}

interface Means {
  readonly terminal: Terminal;
  readonly secrets: Secrets;
  readonly signal: AbortSignal;
}

async function dispatch(line: readonly string[], streams: Streams, means: Means): Promise<ExitCode> {
  const { terminal, signal } = means;
  const [first, second] = line;
  if (first === undefined || isHelp(first)) {
    const asked = first === 'help' ? line.slice(1) : [];
    if (asked.length > 0) return dispatch([...asked, '--help'], streams, means);
    await terminal.print(...overview(terminal));
    return first === undefined ? EXIT.usage : EXIT.done;
  }
  if (first === '--version' || first === '-v') {
    await terminal.print(VERSION);
    return EXIT.done;
  }
  if (first === HIDDEN) {
    const { printQueueNames } = await import('./commands/completion.js');
    return printQueueNames(streams.env, terminal, signal);
  }
  const found = commandOf(line);
  if (!found) {
    const under = commandsUnder(first);
    if (under.length > 0 && (second === undefined || isHelp(second))) {
      await terminal.print(...overview(terminal, under));
      return second === undefined ? EXIT.usage : EXIT.done;
    }
    const what = under.length > 0 && second !== undefined ? `${first} ${second}` : first;
    const near = nearest(
      what,
      commands.map(({ name }) => name),
    );
    const hint = near === undefined ? 'see leveret --help' : `did you mean leveret ${near}?`;
    throw usageError(`there is no command ${shown(what)}; ${hint}`);
  }
  return start(found.command, line.slice(found.length), streams, means);
}

async function start(
  command: Command,
  rest: readonly string[],
  { stdin, env }: Streams,
  means: Means,
): Promise<ExitCode> {
  const { positionals, values } = parse(rest, { ...command.options, ...commonOptions });
  const { terminal } = means;
  if (values.flag('help')) {
    await terminal.print(...commandHelp(command, terminal));
    return EXIT.done;
  }
  const [min, max] = command.positionals;
  if (positionals.length < min || positionals.length > max) {
    const what =
      positionals.length < min ? 'something is missing' : `${shown(positionals[max] ?? '')} is too much`;
    throw usageError(`${what}: leveret ${command.name} ${command.usage}`);
  }
  const perform = await programOf(command.name);
  const json = values.flag('json');
  const exitCode = await perform({ ...means, positionals, values, json, stdin, env });
  return means.signal.aborted ? (means.signal.reason as ExitCode) : exitCode;
}

/** The hidden command that the completion scripts call for the names of queues. */
export const HIDDEN = '__queues';

const isHelp = (word: string) => word === '--help' || word === '-h' || word === 'help';

function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CommandFailure) return error.exitCode;
  if (isLeveretError(error) && error.name === 'ConnectionError') return EXIT.noConnection;
  if (isLeveretError(error) && error.name === 'ConfigurationError') return EXIT.usage;
  return EXIT.no;
}

/** An error in one line, without its stack. */
function textOf(error: unknown): string {
  const { message } = Object(error) as { readonly message?: unknown };
  return printable(typeof message === 'string' && message !== '' ? message : String(error));
}
