import type { OptionSpecs } from './arguments.js';
import type { Command } from './command.js';
import { contractOptions } from './contracts.js';
import { whereOptions } from './server-address.js';

/** The options of every command. */
export const commonOptions = {
  json: { type: 'boolean', help: 'print JSON to stdout, and nothing else' },
  help: { type: 'boolean', short: 'h', help: 'show this' },
} as const satisfies OptionSpecs;

const yes = {
  yes: {
    type: 'boolean',
    short: 'y',
    help: 'answer every question with yes; required without a terminal',
  },
} as const satisfies OptionSpecs;

const limit = (fallback: string) =>
  ({ limit: { type: 'string', value: 'N', help: `how many at most. Default: ${fallback}` } }) as const;

const letters = { ...whereOptions, ...contractOptions };

/** Every command, in the order of the help. */
export const commands: readonly Command[] = [
  {
    name: 'doctor',
    summary: 'look for what loses messages or stops consumers, and how to mend it',
    usage: '[URL]',
    positionals: [0, 1],
    options: {
      ...whereOptions,
      ...contractOptions,
      'handler-timeout': {
        type: 'string',
        value: 'MS',
        help: "the longest that a handler may run, in milliseconds. Default: 1200000, Leveret's own",
      },
    },
    examples: [
      'leveret doctor',
      'RABBITMQ_URL=amqps://user:secret@rabbit.example/shop leveret doctor --contracts ./contracts.js',
      "leveret doctor --json | jq -r '.findings[].fix[]'",
    ],
    notes: [
      'Exits with 0 when there is no finding, and with 1 when there is one. A finding comes with the shell lines that mend it, for a shell in which rabbitmqctl reaches the node.',
    ],
  },
  {
    name: 'queues',
    summary: 'list queues, with their messages, consumers and rates',
    usage: '[PATTERN]',
    positionals: [0, 1],
    completes: 'queue',
    options: { ...whereOptions, ...contractOptions },
    examples: ['leveret queues', "leveret queues 'shop.*'", 'leveret queues emails --json'],
    notes: ["In PATTERN, '*' is any text."],
  },
  {
    name: 'send',
    summary: 'send one message, or one for each line of stdin',
    usage: 'QUEUE [BODY] | --exchange NAME --routing-key KEY [BODY]',
    positionals: [0, 2],
    completes: 'queue',
    options: {
      ...whereOptions,
      ...contractOptions,
      exchange: { type: 'string', value: 'NAME', help: 'send to this exchange; QUEUE is left out' },
      'routing-key': { type: 'string', value: 'KEY', help: 'with which routing key. Default: none' },
      header: { type: 'string', multiple: true, value: 'NAME=VALUE', help: 'a header, as text (repeatable)' },
      delay: { type: 'string', value: 'MS', help: 'deliver it so many milliseconds later; with --contracts' },
      'message-id': { type: 'string', value: 'ID', help: 'the id of the one message. Default: a new UUID' },
    },
    examples: [
      `leveret send emails '{"to":"ada@example.com"}'`,
      'leveret send emails --contracts ./contracts.js < bodies.ndjson',
      `leveret send --exchange orders --routing-key eu.order '{"id":"1"}'`,
    ],
    notes: [
      "BODY is JSON. Without it, or as '-', each line of stdin is one. A message counts as sent when the server has confirmed it and a queue took it.",
    ],
  },
  {
    name: 'tail',
    summary: 'look at messages of a queue, or at what passes through an exchange',
    usage: 'QUEUE | --exchange NAME [--routing-key KEY]',
    positionals: [0, 1],
    completes: 'queue',
    options: {
      ...whereOptions,
      ...contractOptions,
      exchange: { type: 'string', value: 'NAME', help: 'copy what passes through this exchange' },
      'routing-key': {
        type: 'string',
        value: 'KEY',
        help: "only with this routing key, or pattern. Default: '#'",
      },
      limit: {
        type: 'string',
        value: 'N',
        help: 'how many at most. Default: 10 of a queue; of an exchange, no end',
      },
      ...yes,
    },
    examples: [
      'leveret tail emails',
      'leveret tail emails --limit 100 --json | jq .body',
      "leveret tail --exchange orders --routing-key 'eu.#'",
    ],
    notes: [
      'Every message of a queue is given back, in its place. Before RabbitMQ 4.3 a quorum queue counts that as a return: where its delivery limit is below 1000 this asks first.',
    ],
  },
  {
    name: 'dead list',
    summary: 'list the dead letters of a queue',
    usage: 'QUEUE',
    positionals: [1, 1],
    completes: 'queue',
    options: { ...letters, ...limit('20') },
    examples: ['leveret dead list emails', 'leveret dead list emails --limit 1000 --json'],
  },
  {
    name: 'dead show',
    summary: 'show one dead letter, with its body',
    usage: 'QUEUE ID',
    positionals: [2, 2],
    completes: 'queue',
    options: letters,
    examples: ['leveret dead show emails 7c9e6679-7425-40de-944b-e07fc1f90ae7'],
  },
  {
    name: 'dead replay',
    summary: 'put dead letters back into their queue',
    usage: 'QUEUE',
    positionals: [1, 1],
    completes: 'queue',
    options: {
      ...letters,
      ...limit('all'),
      id: { type: 'string', multiple: true, value: 'ID', help: 'only the letter with this id (repeatable)' },
      rate: { type: 'string', value: 'N', help: 'how many in a second. Default: as fast as it goes' },
      ...yes,
    },
    examples: [
      'leveret dead replay emails --limit 1',
      'leveret dead replay emails --contracts ./contracts.js --rate 50 --yes',
    ],
    notes: ["With --contracts, a letter that does not fit today's schema stays where it is."],
  },
  {
    name: 'dead purge',
    summary: 'remove the dead letters of a queue',
    usage: 'QUEUE',
    positionals: [1, 1],
    completes: 'queue',
    options: { ...letters, ...yes },
    examples: ['leveret dead purge emails'],
  },
  {
    name: 'bench',
    summary: 'measure how fast this server is from here',
    usage: '[URL]',
    positionals: [0, 1],
    options: {
      ...whereOptions,
      messages: { type: 'string', value: 'N', help: 'how many messages. Default: 20000' },
      size: { type: 'string', value: 'BYTES', help: 'how large each body is. Default: 125' },
    },
    examples: ['leveret bench', 'leveret bench --messages 100000 --size 1000 --json'],
    notes: ['It uses queues of its own, and removes them. It takes 60 seconds at most.'],
  },
  {
    name: 'asyncapi',
    summary: 'describe contracts as an AsyncAPI 3.0.0 document',
    usage: 'FILE…',
    positionals: [1, Number.POSITIVE_INFINITY],
    completes: 'file',
    options: {
      title: {
        type: 'string',
        value: 'TEXT',
        help: 'the title of the document. Default: the name of the package here',
      },
      'api-version': {
        type: 'string',
        value: 'TEXT',
        help: 'its version. Default: that of the package here',
      },
      out: { type: 'string', value: 'FILE', complete: 'file', help: 'write the document to this file' },
      html: { type: 'string', value: 'FILE', complete: 'file', help: 'write a page for people to this file' },
    },
    examples: [
      'leveret asyncapi ./contracts.js > asyncapi.json',
      'leveret asyncapi ./contracts.js --title Shop --api-version 1.4.0 --out asyncapi.json --html asyncapi.html',
    ],
    notes: ['FILE is loaded as that of --contracts is. No server is needed.'],
  },
  {
    name: 'completion',
    summary: 'print a script that completes commands, options and queues',
    usage: 'bash|zsh|fish',
    positionals: [1, 1],
    completes: 'shell',
    options: {},
    examples: [
      'source <(leveret completion bash)',
      'leveret completion zsh > ~/.zsh/completions/_leveret',
      'leveret completion fish > ~/.config/fish/completions/leveret.fish',
    ],
  },
];

/** The command that the words of a line begin with, and how many of them are its name. */
export function commandOf(
  words: readonly string[],
): { readonly command: Command; readonly length: number } | undefined {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ');
    const command = commands.find((it) => it.name === name);
    if (command && words.length >= length) return { command, length };
  }
  return undefined;
}

/** The commands whose names begin with this word, such as those of `dead`. */
export function commandsUnder(word: string): readonly Command[] {
  return commands.filter(({ name }) => name.startsWith(`${word} `));
}
