import { VERSION } from '../version.js';
import type { OptionSpecs } from './arguments.js';
import type { Command } from './command.js';
import { commands, commonOptions } from './commands.js';
import type { Palette } from './terminal.js';

const WIDTH = 96;

/** The output of `leveret --help`; for some commands only, if they share a first word. */
export function overview({ bold }: Palette, shown: readonly Command[] = commands): string[] {
  const width = Math.max(...shown.map(({ name }) => name.length));
  return [
    `${bold('leveret')} ${VERSION}: look after queues, messages and dead letters on RabbitMQ`,
    '',
    bold('Usage'),
    '  leveret COMMAND [options]',
    '',
    bold('Commands'),
    ...shown.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    "The server is RABBITMQ_URL, or --url. 'leveret COMMAND --help' shows the options and examples of a command.",
    '',
    bold('Examples'),
    ...shown.slice(0, 6).flatMap(({ examples }) => examples.slice(0, 1).map((example) => `  ${example}`)),
  ];
}

/** The output of `leveret COMMAND --help`. */
export function commandHelp(command: Command, { bold }: Palette): string[] {
  const { name, usage, summary, notes = [], examples } = command;
  return [
    `${bold(`leveret ${name}`)}: ${summary}`,
    '',
    bold('Usage'),
    ...usage.split(' | ').map((way) => `  leveret ${name} ${way} [options]`),
    ...notes.flatMap((note) => ['', ...wrapped(note, '', WIDTH)]),
    '',
    bold('Options'),
    ...optionLines({ ...command.options, ...commonOptions }),
    '',
    bold('Examples'),
    ...examples.map((example) => `  ${example}`),
  ];
}

function optionLines(options: OptionSpecs): string[] {
  const rows = Object.entries(options).map(([name, { short, value, help }]) => {
    const forms = `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
    return [forms, help] as const;
  });
  const width = Math.max(...rows.map(([forms]) => forms.length)) + 4;
  return rows.flatMap(([forms, help]) => {
    const [first = '', ...rest] = wrapped(help, ' '.repeat(width), WIDTH);
    return [`  ${forms}`.padEnd(width) + first.trimStart(), ...rest];
  });
}

function wrapped(text: string, indent: string, width: number): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    const next = line.trim() === '' ? `${indent}${word}` : `${line} ${word}`;
    if (next.length <= width || line.trim() === '') line = next;
    else {
      lines.push(line);
      line = `${indent}${word}`;
    }
  }
  return [...lines, line];
}
