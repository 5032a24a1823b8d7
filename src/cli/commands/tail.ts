import { randomUUID } from 'node:crypto';
import type { QueueContract } from '../../contracts/types.js';
import { QueueScan } from '../../dead-letters/queue-scan.js';
import { sentTo } from '../../delay/routing-headers.js';
import { isDelayName } from '../../delay/topology.js';
import { Connection } from '../../transport/connection/connection.js';
import { classify } from '../../transport/failures.js';
import { makeTransport } from '../../transport/make-transport.js';
import { type Channel, type Delivery, type Link, TransportError } from '../../transport/port.js';
import { systemClock } from '../../util/clock.js';
import { bareQueue } from '../bare-contracts.js';
import { bodyOf, headerValue } from '../body.js';
import type { Invocation } from '../command.js';
import { loadContracts, queueNamed } from '../contracts.js';
import { CommandFailure, EXIT, type ExitCode, usageError } from '../failure.js';
import { greet } from '../greeting.js';
import { resolveWhere, type Where } from '../server-address.js';
import { printable, toJson } from '../text.js';
import { requireVhost } from '../with-broker.js';
import { kindOf, type QueueKind, wouldCount } from './tail-cost.js';

const DEFAULT_LIMIT = 10;
const MAX_LIMIT = 10_000;

/** How long a stream may be silent before it counts as fully read. */
const STREAM_IDLE_MS = 1_000;

/** Shows messages, and changes nothing. */
export async function run(invocation: Invocation): Promise<ExitCode> {
  const { values, env, secrets, signal, positionals } = invocation;
  const [queue] = positionals;
  const exchange = values.text('exchange');
  if ((queue === undefined) === (exchange === undefined)) {
    throw usageError('one of the two is needed: leveret tail QUEUE, or leveret tail --exchange NAME');
  }
  if (exchange === undefined && values.text('routing-key') !== undefined) {
    throw usageError('--routing-key goes with --exchange');
  }
  const limit = values.integer('limit', {
    min: 1,
    max: exchange === undefined ? MAX_LIMIT : Number.MAX_SAFE_INTEGER,
  });
  const contracts = await loadContracts(values.all('contracts'));
  const where = resolveWhere(values, env, secrets);
  const greeting = await greet(where, signal);
  requireVhost(where, greeting);
  const connection = connectionTo(where);
  try {
    if (exchange !== undefined) return await follow(invocation, connection, exchange, limit);
    const name = queue as string;
    const kind = await kindOf(name, where, queueNamed(contracts, name), signal);
    const cost = wouldCount(kind, greeting.version);
    if (cost !== undefined) {
      invocation.terminal.warn(`leveret: '${printable(name)}': ${cost}`);
      invocation.terminal.requireConsent('looking all the same', values.flag('yes'));
      await invocation.terminal.confirm('Look all the same?', values.flag('yes'), signal);
    }
    return await look(invocation, connection, { name, kind, limit: limit ?? DEFAULT_LIMIT });
  } catch (error) {
    throw signal.aborted ? error : explained(error, exchange ?? queue ?? '');
  } finally {
    await connection.close();
  }
}

interface Look {
  readonly name: string;
  readonly kind: QueueKind | undefined;
  readonly limit: number;
}

/** The first messages that are ready. */
async function look(invocation: Invocation, connection: Connection, look: Look): Promise<ExitCode> {
  const { name, kind, limit } = look;
  if (kind?.type === 'stream') {
    const link = await connection.link();
    await copy(invocation, link, name, {
      limit,
      idleMs: STREAM_IDLE_MS,
      arguments: { 'x-stream-offset': 'first' },
    });
    return EXIT.done;
  }
  const contract: QueueContract = { ...bareQueue(name, 'bytes'), deadLetter: name };
  const { signal, terminal } = invocation;
  // No more than are shown, because each counts as a delivery on servers that count them.
  const pass = await QueueScan.open({ contract, connection, clock: systemClock, signal, prefetch: limit });
  let shown = 0;
  try {
    while (shown < limit) {
      const delivery = await pass.next();
      if (!delivery) break;
      // Before it is printed, because a reader of our output may be slow.
      await show(invocation, delivery, shown++);
    }
  } finally {
    await pass.close();
  }
  if (shown === 0) terminal.hint('No message is ready.');
  return EXIT.done;
}

/** Shows what passes through an exchange from now on. */
async function follow(
  invocation: Invocation,
  connection: Connection,
  exchange: string,
  limit: number | undefined,
): Promise<ExitCode> {
  const { values, terminal } = invocation;
  const link = await connection.link();
  const name = `leveret.tail.${randomUUID()}`;
  const channel = await link.openChannel({ confirms: false, onClosed: () => {} });
  await channel.declareQueue({ name, durable: false, exclusive: true, autoDelete: true, arguments: {} });
  await channel.bind({
    destination: { kind: 'queue', name },
    source: exchange,
    routingKey: values.text('routing-key') ?? '#',
    arguments: {},
  });
  terminal.hint(`Copying what passes through '${printable(exchange)}'. Ctrl-C ends it.`);
  await copy(invocation, link, name, { limit: limit ?? Number.POSITIVE_INFINITY, arguments: {} });
  return EXIT.done;
}

interface CopyOptions {
  readonly limit: number;
  readonly arguments: Readonly<Record<string, unknown>>;
  /** Ends after this much silence; undefined: never. */
  readonly idleMs?: number;
}

/** Shows the deliveries of a queue that loses nothing by it: a private one, or a stream. */
async function copy(
  invocation: Invocation,
  link: Link,
  queue: string,
  { limit, idleMs, arguments: args }: CopyOptions,
): Promise<void> {
  const { signal } = invocation;
  const waiting: Delivery[] = [];
  let failure: TransportError | undefined;
  let wake = () => {};
  const channel: Channel = await link.openChannel({
    confirms: false,
    onClosed: (error) => {
      failure = error;
      wake();
    },
  });
  await channel.setPrefetch(Math.min(limit, 100));
  await channel.consume(queue, { noAck: false, exclusive: false, arguments: args }, (delivery) => {
    if (delivery) waiting.push(delivery);
    else failure = new TransportError('the server cancelled the consumer');
    wake();
  });
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  try {
    for (let shown = 0; shown < limit && !signal.aborted; ) {
      const delivery = waiting.shift();
      if (delivery) {
        channel.ack(delivery.deliveryTag, false);
        await show(invocation, delivery, shown++);
        continue;
      }
      if (failure) throw failure;
      const isOver = await new Promise<boolean>((resolve) => {
        wake = () => resolve(false);
        if (idleMs !== undefined) setTimeout(() => resolve(true), idleMs);
      });
      if (isOver && waiting.length === 0) return;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    await channel.close();
  }
}

async function show({ json, terminal }: Invocation, delivery: Delivery, index: number): Promise<void> {
  const { properties, exchange, routingKey, redelivered, content } = delivery;
  const messageId = typeof properties.messageId === 'string' ? properties.messageId : null;
  const headers = (headerValue(properties.headers) ?? null) as Readonly<Record<string, unknown>> | null;
  const body = bodyOf(content);
  if (json) {
    await terminal.print(toJson({ messageId, exchange, routingKey, headers, redelivered, ...body }));
    return;
  }
  const { bold, dim } = terminal.palette;
  const isDelayed = isDelayName(exchange);
  const origin = sentTo(delivery);
  const way = [
    `${origin.routingKey}${origin.exchange === '' ? '' : ` through ${origin.exchange}`}`,
    ...(isDelayed ? ['delayed'] : []),
    ...(redelivered ? ['redelivered'] : []),
  ].join(', ');
  await terminal.print(
    `${bold(`#${index + 1}`)} ${printable(messageId ?? '(no id)')} ${dim(printable(way))}`,
    ...Object.entries(headers ?? {})
      .filter(([name]) => !isDelayed || !isOfDelay(name))
      .map(([name, value]) => dim(`   ${printable(`${name}: ${JSON.stringify(value)}`)}`)),
    `   ${'body' in body ? printable(JSON.stringify(body.body)) : textOf(content)}`,
  );
}

/** The headers that a delay, and each queue of it, leaves on a message: more than the rest of it, and nothing that the sender said. */
const isOfDelay = (name: string) => /^(?:leveret-delay-|x-death$|x-(?:first|last)-death-)/.test(name);

function textOf(content: Buffer): string {
  const text = content.toString('utf8');
  return text.includes('\ufffd') ? `base64 ${content.toString('base64')}` : printable(text);
}

function connectionTo(where: Where): Connection {
  let wasOpen = false;
  const options = { name: 'leveret (command)', heartbeatSeconds: 10, tls: undefined };
  return new Connection({
    role: 'consume',
    transport: makeTransport([where.url], options, systemClock),
    clock: systemClock,
    backoff: { initialDelayMs: 100, refusedMaxDelayMs: 1_000, maxDelayMs: 1_000, factor: 2 },
    startupTimeoutMs: 5_000,
    credentials: undefined,
    isEstablished: () => wasOpen,
    onChange: (_state, event) => {
      if (event.type === 'opened') wasOpen = true;
    },
  });
}

/** A refusal of the server in the words of this command. */
function explained(error: unknown, name: string): unknown {
  if (!(error instanceof TransportError)) return error;
  switch (classify(error)) {
    case 'missing':
      return new CommandFailure(
        EXIT.no,
        `there is no queue or exchange '${printable(name)}' in this virtual host`,
      );
    case 'lost':
      return new CommandFailure(EXIT.noConnection, `the connection was lost: ${error.message}`);
    default:
      return new CommandFailure(EXIT.no, `'${printable(name)}': ${error.message}`);
  }
}
