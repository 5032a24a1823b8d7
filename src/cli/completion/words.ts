import type { OptionSpec } from '../arguments.js';
import type { Command } from '../command.js';
import { commands, commonOptions } from '../commands.js';

/** The words that the shells complete, from the table of the commands. */

/** The first words of a line, each with its summary. */
export function firstWords(): readonly (readonly [word: string, summary: string])[] {
  const words = new Map<string, string>();
  for (const { name, summary } of commands) {
    const [first = '', second] = name.split(' ');
    if (second === undefined) words.set(first, summary);
    else words.set(first, 'look at dead letters, put them back, remove them');
  }
  return [...words];
}

/** The second words of a group of commands, such as `dead`. */
export function secondWords(): ReadonlyMap<string, readonly Command[]> {
  const groups = new Map<string, Command[]>();
  for (const command of commands) {
    const [first = '', second] = command.name.split(' ');
    if (second !== undefined) groups.set(first, [...(groups.get(first) ?? []), command]);
  }
  return groups;
}

export function optionsOf(command: Command): readonly (readonly [name: string, spec: OptionSpec])[] {
  return Object.entries<OptionSpec>({ ...command.options, ...commonOptions });
}

export { commands };

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The command that the scripts run for the names of queues. Its error messages would only disturb in the middle of a line. */
export const QUEUES = 'leveret __queues 2>/dev/null';
