import { VERSION } from '../version.js';
import type { OptionSpecs } from './arguments.js';
import type { Command } from './command.js';
import { commands, commonOptions } from './commands.js';
import type { Terminal } from './terminal.js';
import { wrapped } from './text.js';

/** The longest line. */
const MAX_WIDTH = 96;

/** A terminal that is narrower than this has to break the lines itself. */
const MIN_WIDTH = 48;

const widthIn = ({ width = MAX_WIDTH }: Pick<Terminal, 'width'>) =>
  Math.max(MIN_WIDTH, Math.min(MAX_WIDTH, width));

/** The output of `leveret --help`; for some commands only, if they share a first word. */
export function overview(terminal: Pick<Terminal, 'palette' | 'width'>, shown = commands): string[] {
  const { bold } = terminal.palette;
  const width = widthIn(terminal);
  return [
    ...titled(`leveret ${VERSION}`, 'look after queues, messages and dead letters on RabbitMQ', terminal),
    '',
    bold('Usage'),
    '  leveret COMMAND [options]',
    '',
    bold('Commands'),
    ...inTwoColumns(
      shown.map(({ name, summary }) => [name, summary]),
      width,
    ),
    '',
    ...wrapped(
      "The server is RABBITMQ_URL, or --url. 'leveret COMMAND --help' shows the options and examples of a command.",
      '',
      width,
    ),
    '',
    bold('Examples'),
    ...shown.slice(0, 6).flatMap(({ examples }) => examples.slice(0, 1).map((example) => `  ${example}`)),
  ];
}

/** The output of `leveret COMMAND --help`. */
export function commandHelp(command: Command, terminal: Pick<Terminal, 'palette' | 'width'>): string[] {
  const { name, usage, summary, notes = [], examples } = command;
  const { bold } = terminal.palette;
  const width = widthIn(terminal);
  return [
    ...titled(`leveret ${name}`, summary, terminal),
    '',
    bold('Usage'),
    ...usage.split(' | ').map((way) => `  leveret ${name} ${way} [options]`),
    ...notes.flatMap((note) => ['', ...wrapped(note, '', width)]),
    '',
    bold('Options'),
    ...optionLines({ ...command.options, ...commonOptions }, width),
    '',
    bold('Examples'),
    ...examples.map((example) => `  ${example}`),
  ];
}

/** `name: text`, the name in bold. */
function titled(name: string, text: string, terminal: Pick<Terminal, 'palette' | 'width'>): string[] {
  const [first = '', ...rest] = wrapped(`${name}: ${text}`, '', widthIn(terminal));
  return [terminal.palette.bold(name) + first.slice(name.length), ...rest];
}

function optionLines(options: OptionSpecs, width: number): string[] {
  const rows = Object.entries(options).map(([name, { short, value, help }]): [string, string] => {
    const forms = `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`;
    return [forms, help];
  });
  return inTwoColumns(rows, width);
}

function inTwoColumns(rows: readonly (readonly [string, string])[], width: number): string[] {
  const first = Math.max(...rows.map(([name]) => name.length)) + 4;
  return rows.flatMap(([name, text]) => {
    const [head = '', ...rest] = wrapped(text, ' '.repeat(first), width);
    return [`  ${name}`.padEnd(first) + head.trimStart(), ...rest];
  });
}
