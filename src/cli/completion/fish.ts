import type { Command } from '../command.js';
import { commands, firstWords, optionsOf, QUEUES, SHELLS, secondWords } from './words.js';

export function fishScript(): string {
  const first = firstWords().map(
    ([word, summary]) => `complete -c leveret -n __fish_use_subcommand -f -a ${word} -d ${quoted(summary)}`,
  );
  const second = [...secondWords()].flatMap(([word, under]) =>
    under.map(
      ({ name, summary }) =>
        `complete -c leveret -n ${quoted(`__leveret_at ${word}; and test (count (commandline -opc)) -eq 2`)} -f -a ${name.split(' ')[1]} -d ${quoted(summary)}`,
    ),
  );
  return `# Completion of leveret for fish. Put it into ~/.config/fish/completions/leveret.fish.
function __leveret_at
    set -l words (commandline -opc)
    set -e words[1]
    test (count $words) -ge (count $argv); or return 1
    for at in (seq (count $argv))
        test "$words[$at]" = "$argv[$at]"; or return 1
    end
end

complete -c leveret -e
complete -c leveret -n __fish_use_subcommand -f -l help -s h -d 'show the commands'
complete -c leveret -n __fish_use_subcommand -f -l version -d 'show the version'
${[...first, ...second, ...commands.flatMap(linesOf)].join('\n')}
`;
}

function linesOf(command: Command): string[] {
  const here = `-n ${quoted(`__leveret_at ${command.name}`)}`;
  const options = optionsOf(command).map(([name, { type, short, complete, help }]) => {
    const takes = type === 'string' ? (complete === 'file' ? ' -r -F' : ' -x') : '';
    return `complete -c leveret ${here} -l ${name}${short === undefined ? '' : ` -s ${short}`}${takes} -d ${quoted(help)}`;
  });
  return [...options, ...positional(command, here)];
}

function positional({ completes }: Command, here: string): string[] {
  if (completes === 'queue') return [`complete -c leveret ${here} -f -a ${quoted(`(${QUEUES})`)}`];
  if (completes === 'shell') return [`complete -c leveret ${here} -f -a ${quoted(SHELLS.join(' '))}`];
  return completes === 'file' ? [] : [`complete -c leveret ${here} -f`];
}

const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
