import { randomUUID } from 'node:crypto';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Broker } from '../../broker/broker.js';
import { isExchange, isQueue } from '../../contracts/guards.js';
import type { Contract, ExchangeContract } from '../../contracts/types.js';
import { unitsOf } from '../../delay/levels.js';
import { delayQueueName, landingOf } from '../../delay/topology.js';
import { isLeveretError } from '../../errors.js';
import type { SendOptions } from '../../producer/send-options.js';
import { bareExchange, bareQueue, undeclared } from '../bare-contracts.js';
import type { Invocation } from '../command.js';
import { loadContracts, queuesOf } from '../contracts.js';
import { CommandFailure, EXIT, type ExitCode, usageError } from '../failure.js';
import { shown } from '../secrets.js';
import { counted, printable, toJson } from '../text.js';
import { withBroker } from '../with-broker.js';

interface Failure {
  readonly index: number;
  readonly code: string;
  readonly message: string;
}

/** The longest possible delay: 60 days. */
const MAX_DELAY_MS = 5_184_000_000;

/** Sends one message, or one per line of stdin. */
export async function run(invocation: Invocation): Promise<ExitCode> {
  const { values, terminal, json, signal } = invocation;
  const { contract, body } = await destinationOf(invocation);
  const options = sendOptionsOf(invocation);
  const messageId = values.text('message-id');

  const { sent, failed, messageIds } = await withBroker(invocation, async ({ broker }) => {
    await checkDelay(broker, contract, options.delayMs);
    const invalid: Failure[] = [];
    const ids: string[] = [];
    /** The line of each body that could be read. */
    const lines: number[] = [];
    const bodies = bodiesOf(body, contract, invocation, {
      onBody: (line) => lines.push(line),
      onInvalid: (failure) => invalid.push(failure),
    });
    const result = await broker.producer(contract).sendAll(bodies, {
      signal,
      onProgress: ({ sent: done }) => terminal.progress('sent', done, undefined),
      each: (_body: unknown, index: number) => {
        const id = messageId ?? randomUUID();
        ids[index] = id;
        return { ...options, messageId: id };
      },
    });
    const unsent = result.failed.map(({ index, error }) => ({
      index: lines[index] ?? index,
      ...failureOf(error),
    }));
    const gone = new Set(result.failed.map(({ index }) => index));
    return {
      sent: result.sent,
      failed: [...invalid, ...unsent].sort((a, b) => a.index - b.index),
      messageIds: ids.filter((_, index) => !gone.has(index)),
    };
  });

  if (json) await terminal.print(toJson({ sent, failed, messageIds }));
  else {
    terminal.clearProgress();
    for (const { index, code, message } of failed) {
      const line = body === undefined ? `line ${index + 1}: ` : '';
      terminal.warn(`${terminal.errorPalette.bad('leveret:')} ${line}${printable(`${code}: ${message}`)}`);
    }
    const { good, dim } = terminal.palette;
    const target = `the ${contract.kind} '${printable(contract.name)}'`;
    await terminal.print(`${good('Sent')} ${counted(sent, 'message')} to ${target}.`);
    if (sent === 1) await terminal.print(dim(`id ${printable(messageIds[0] ?? '')}`));
  }
  return failed.length === 0 ? EXIT.done : EXIT.no;
}

/** The target, and the body from the command line; undefined: stdin has the bodies. */
async function destinationOf({
  values,
  positionals,
}: Invocation): Promise<{ readonly contract: Contract; readonly body: string | undefined }> {
  const exchange = values.text('exchange');
  const files = values.all('contracts');
  const [name, given] = exchange === undefined ? positionals : [exchange, ...positionals];
  if (name === undefined || name === '') throw usageError('something is missing: leveret send QUEUE [BODY]');
  if (exchange !== undefined && positionals.length > 1) {
    throw usageError(`${shown(positionals[1] ?? '')} is too much: with --exchange there is no QUEUE`);
  }
  if (exchange === undefined && values.text('routing-key') !== undefined) {
    throw usageError('--routing-key goes with --exchange');
  }
  if (Buffer.byteLength(name) > 255) throw usageError('a name has at most 255 bytes');
  if (files.length === 0 && values.text('delay') !== undefined) throw usageError('--delay needs --contracts');
  const body = given === '-' ? undefined : given;
  if (files.length === 0) {
    return { body, contract: exchange === undefined ? bareQueue(name, 'json') : asTopic(bareExchange(name)) };
  }
  const contracts = await loadContracts(files);
  const contract =
    exchange === undefined
      ? queuesOf(contracts).find((it) => it.name === name)
      : contracts.filter(isExchange).find((it) => it.name === name);
  if (!contract) {
    const kind = exchange === undefined ? 'queue' : 'exchange';
    throw usageError(`no contract of --contracts is for the ${kind} ${shown(name)}`);
  }
  return { body, contract: isQueue(contract) ? undeclared(contract) : asTopic(undeclared(contract)) };
}

/** As a topic exchange, so that a routing key is allowed whatever the exchange's type. */
function asTopic(contract: ExchangeContract): ExchangeContract {
  return { ...contract, type: 'topic' };
}

function sendOptionsOf({ values }: Invocation): SendOptions & { readonly routingKey?: string } {
  const delayMs = values.integer('delay', { min: 0, max: MAX_DELAY_MS });
  const routingKey = values.text('routing-key') ?? '';
  if (Buffer.byteLength(routingKey) > 255) throw usageError('a routing key has at most 255 bytes');
  const headers = Object.fromEntries(values.all('header').map(headerOf));
  return {
    mandatory: true,
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(values.text('exchange') === undefined ? {} : { routingKey }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
  };
}

/**
 * A producer declares the queues of a delay, and a command declares nothing.
 *
 * @throws CommandFailure when they are missing
 */
async function checkDelay(broker: Broker, contract: Contract, delayMs = 0): Promise<void> {
  const units = unitsOf(delayMs);
  if (units === 0) return;
  for (const name of [delayQueueName(units, 'low'), landingOf(contract)]) {
    try {
      await broker.stats(name);
    } catch (error) {
      if (!isLeveretError(error) || error.code !== 'NOT_FOUND') throw error;
      const target = `the ${contract.kind} ${shown(contract.name)}`;
      throw new CommandFailure(
        EXIT.no,
        `the queue ${shown(name)} for delays to ${target} does not exist, and this command declares nothing. ` +
          `A program declares it with broker.declare(delays(contract)), or with its first delay`,
      );
    }
  }
}

function headerOf(text: string): readonly [name: string, value: string] {
  const at = text.indexOf('=');
  if (at > 0) return [text.slice(0, at), text.slice(at + 1)];
  throw usageError(`the option --header must be NAME=VALUE, got ${shown(text)}`);
}

interface Reading {
  onBody(line: number): void;
  onInvalid(failure: Failure): void;
}

/** The bodies to send, each as an input of the contract's schema. */
async function* bodiesOf(
  given: string | undefined,
  { codec }: Contract,
  { stdin, values, terminal }: Invocation,
  { onBody, onInvalid }: Reading,
): AsyncGenerator<unknown> {
  const isOne = values.text('message-id') !== undefined;
  if (given === undefined && isTerminal(stdin))
    terminal.hint('Reading one JSON text a line. Ctrl-D ends it.');
  let index = 0;
  for await (const text of given === undefined ? linesOf(stdin as Readable) : [given]) {
    if (text.trim() === '' && given === undefined) continue;
    const line = index++;
    const read = parse(text);
    if ('problem' in read) onInvalid({ index: line, code: 'INVALID_BODY', message: read.problem });
    else if (isOne && line > 0) {
      onInvalid({ index: line, code: 'INVALID_OPTION', message: '--message-id is the id of one message' });
    } else {
      onBody(line);
      // JSON has no bytes: they are given as base64.
      yield codec === 'bytes' && typeof read.body === 'string' ? Buffer.from(read.body, 'base64') : read.body;
    }
  }
}

const isTerminal = (stdin: object) => (stdin as { readonly isTTY?: boolean }).isTTY === true;

function parse(text: string): { readonly body: unknown } | { readonly problem: string } {
  try {
    return { body: JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text) as unknown };
  } catch (error) {
    return { problem: `the body is not JSON: ${(error as Error).message}` };
  }
}

function linesOf(stdin: Readable): AsyncIterable<string> {
  return createInterface({ input: stdin, crlfDelay: Number.POSITIVE_INFINITY });
}

function failureOf(error: unknown): { readonly code: string; readonly message: string } {
  const { code, name, message } = Object(error) as Readonly<Record<string, unknown>>;
  return { code: String(code ?? name ?? 'ERROR'), message: String(message ?? error) };
}
