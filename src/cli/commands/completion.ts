import { OptionValues } from '../arguments.js';
import type { Invocation } from '../command.js';
import { bashScript } from '../completion/bash.js';
import { fishScript } from '../completion/fish.js';
import { zshScript } from '../completion/zsh.js';
import { EXIT, type ExitCode, usageError } from '../failure.js';
import { Management } from '../management.js';
import { Secrets, shown } from '../secrets.js';
import { resolveWhere } from '../server-address.js';
import type { Terminal } from '../terminal.js';

/** How long a shell may wait for the names of queues. */
const LOOK_UP_MS = 1_000;

const scripts: ReadonlyMap<string, () => string> = new Map([
  ['bash', bashScript],
  ['zsh', zshScript],
  ['fish', fishScript],
]);

/** Prints a script for a shell. It contains no server name and no password. */
export async function run({ positionals, terminal }: Invocation): Promise<ExitCode> {
  const [shell = ''] = positionals;
  const script = scripts.get(shell);
  if (!script) throw usageError(`there is no completion for ${shown(shell)}: bash, zsh or fish`);
  await terminal.print(script().trimEnd());
  return EXIT.done;
}

/** Called by the scripts: prints the names of the queues, one per line. Silent on failure. */
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
    // An error message in the middle of a command line would only disturb.
  }
  return EXIT.done;
}
