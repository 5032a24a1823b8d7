import type { OptionSpec } from '../arguments.js';
import type { Command } from '../command.js';
import { commands, firstWords, optionsOf, QUEUES, SHELLS, secondWords } from './words.js';

export function zshScript(): string {
  const cases = commands.map(
    (command) => `    ${quoted(command.name)}) _arguments -s ${specsOf(command)} ;;`,
  );
  const groups = [...secondWords()].map(([word, under]) => {
    const described = under.map(({ name, summary }) => quoted(`${name.split(' ')[1]}:${summary}`));
    return `    ${word})
      if ((CURRENT == 3)); then
        local -a subcommands
        subcommands=(${described.join(' ')})
        _describe -t commands 'command' subcommands
        return
      fi
      name="$words[2] $words[3]"
      shift 2 words
      ((CURRENT -= 2))
      ;;`;
  });
  return `#compdef leveret
# Completion of leveret for zsh. Put it into a folder of $fpath as _leveret.
_leveret_queues() {
  local -a queues
  queues=("\${(@f)$(${QUEUES})}")
  compadd -a queues
}

_leveret() {
  local name=$words[2]
  if ((CURRENT == 2)); then
    local -a commands
    commands=(${firstWords()
      .map(([word, summary]) => quoted(`${word}:${summary}`))
      .join(' ')})
    _describe -t commands 'command' commands
    return
  fi
  case $words[2] in
${groups.join('\n')}
    *)
      shift words
      ((CURRENT -= 1))
      ;;
  esac
  case $name in
${cases.join('\n')}
  esac
}

if [[ $funcstack[1] == _leveret ]]; then _leveret "$@"; else compdef _leveret leveret; fi
`;
}

function specsOf(command: Command): string {
  const options = optionsOf(command).map(([name, spec]) => quoted(optionSpec(name, spec)));
  return [...options, quoted(`*:${command.completes ?? 'argument'}:${actionOf(command.completes)}`)].join(
    ' ',
  );
}

function optionSpec(name: string, { type, multiple, value, help, complete }: OptionSpec): string {
  const described = help.replaceAll(/[[\]:\\]/g, '\\$&');
  const argument = type === 'string' ? `:${value ?? 'value'}:${actionOf(complete)}` : '';
  return `${multiple ? '*' : ''}--${name}[${described}]${argument}`;
}

function actionOf(kind: string | undefined): string {
  if (kind === 'queue') return '_leveret_queues';
  if (kind === 'file') return '_files';
  return kind === 'shell' ? `(${SHELLS.join(' ')})` : ' ';
}

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
