import { OptionValues } from '../arguments.js';
import type { Invocation } from '../command.js';
import { bashScript } from '../completion/bash.js';
import { fishScript } from '../completion/fish.js';
import { zshScript } from '../completion/zsh.js';
import { EXIT, type ExitCode, usageError } from '../failure.js';
import { Management } from '../management.js';
import { Secrets, shown } from '../secrets.js';
import type { Terminal } from '../terminal.js';
import { resolveWhere } from '../where.js';

/** How long a shell may wait for the names of queues. */
const LOOK_UP_MS = 1_000;

const scripts: ReadonlyMap<string, () => string> = new Map([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
]);

/** Prints a script for a shell. It holds no name of a server and no password. */
export async function run({ positionals, terminal }: Invocation): Promise<ExitCode> {
  const [shell = ''] = positionals;
  const script = scripts.get(shell);
  if (!script) throw usageError(`there is no completion for ${shown(shell)}: bash, zsh or fish`);
  await terminal.print(script().trimEnd());
  return EXIT.done;
}

/** What the scripts call: the names of the queues, one a line. Silent when it cannot tell. */
export async function printQueueNames(
  env: Invocation['env'],
  terminal: Terminal,
  signal: AbortSignal,
): Promise<ExitCode> {
  try {
    const where = resolveWhere(new OptionValues(new Map()), env, new Secrets());
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(LOOK_UP_MS)]);
    const client = new Management(where.management, deadline, LOOK_UP_MS);
    const rows = await client.get<{ name: string }[]>(['queues', where.vhost], '?disable_stats=true');
    // A name with a control character cannot be completed.
    await terminal.print(
      ...rows
        .map(({ name }) => name)
        .filter((name) => !/\p{Cc}/u.test(name))
        .sort(),
    );
  } catch {
    // Nobody asked for an error message in the middle of a line.
  }
  return EXIT.done;
}
