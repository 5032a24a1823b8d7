import type { QueueDeclaration } from '../port.js';
import { amqpType, assertEquivalent } from './equivalence.js';
import { ServerRefusalError } from './server-refusal.js';
import type { Behaviour } from './version.js';

export type MemoryQueueType = 'classic' | 'quorum' | 'stream';

/** Returns the fault of an argument's value in RabbitMQ's words; undefined: none. */
type Check = (value: unknown) => string | undefined;

const expectInteger: Check = (value) =>
  typeof value === 'number' && Number.isInteger(value)
    ? undefined
    : `"expected integer, got ${amqpType(value)}"`;
const expectNatural: Check = (value) =>
  expectInteger(value) ?? ((value as number) < 0 ? `{value_negative,${String(value)}}` : undefined);
const expectPositive: Check = (value) => expectNatural(value) ?? (value === 0 ? '{value_zero,0}' : undefined);
const expectString: Check = (value) =>
  typeof value === 'string' ? undefined : `{unacceptable_type,${amqpType(value)}}`;
const expectOneOf =
  (reason: string, ...known: readonly string[]): Check =>
  (value) =>
    expectString(value) ?? (known.includes(value as string) ? undefined : reason);

const CHECKS: Readonly<Record<string, Check>> = {
  'x-expires': expectPositive,
  'x-message-ttl': expectNatural,
  'x-max-length': expectNatural,
  'x-max-length-bytes': expectNatural,
  'x-max-priority': (value) =>
    expectNatural(value) ?? ((value as number) > 255 ? `{max_value_exceeded,${String(value)}}` : undefined),
  'x-overflow': expectOneOf('invalid_overflow', 'drop-head', 'reject-publish', 'reject-publish-dlx'),
  'x-single-active-consumer': (value) =>
    typeof value === 'boolean' ? undefined : `{unacceptable_type,${amqpType(value)}}`,
  'x-max-age': (value) =>
    expectString(value) ?? (/^\d+[YMDhms]$/.test(value as string) ? undefined : 'invalid_max_age'),
  'x-dead-letter-strategy': expectOneOf('invalid_dlx_strategy', 'at-most-once', 'at-least-once'),
};

/**
 * The arguments of each type of queue, in the order in which RabbitMQ compares them. It ignores all others (the capabilities of
 * rabbit_classic_queue, rabbit_quorum_queue and rabbit_stream_queue).
 */
const TAKEN_BY: Readonly<Record<MemoryQueueType, readonly string[]>> = {
  classic: [
    'x-expires',
    'x-message-ttl',
    'x-dead-letter-exchange',
    'x-dead-letter-routing-key',
    'x-max-length',
    'x-max-length-bytes',
    'x-max-priority',
    'x-overflow',
    'x-queue-mode',
    'x-single-active-consumer',
    'x-queue-type',
  ],
  quorum: [
    'x-dead-letter-exchange',
    'x-dead-letter-routing-key',
    'x-dead-letter-strategy',
    'x-expires',
    'x-max-length',
    'x-max-length-bytes',
    'x-overflow',
    'x-single-active-consumer',
    'x-queue-type',
    'x-delivery-limit',
    'x-message-ttl',
  ],
  stream: ['x-max-length-bytes', 'x-queue-type', 'x-max-age', 'x-stream-max-segment-size-bytes'],
};

const KNOWN: ReadonlySet<string> = new Set(Object.values(TAKEN_BY).flat());

export const QUEUE_TYPES: readonly MemoryQueueType[] = ['classic', 'quorum', 'stream'];

/** True for the name of a queue type. */
export function isQueueType(text: string): text is MemoryQueueType {
  return (QUEUE_TYPES as readonly string[]).includes(text);
}

/** The declaration as the server understands it: with the default type, if the queue can have that type. */
export function withDefaultType(queue: QueueDeclaration, defaultType: MemoryQueueType): QueueDeclaration {
  const { durable, exclusive, autoDelete, arguments: args } = queue;
  const canHaveIt = durable && !exclusive && !autoDelete && args['x-queue-type'] === undefined;
  if (defaultType === 'classic' || !canHaveIt) return queue;
  return { ...queue, arguments: { ...args, 'x-queue-type': defaultType } };
}

/** The type of queue that a declaration asks for. */
export function typeOf({ arguments: args }: QueueDeclaration): MemoryQueueType {
  return (args['x-queue-type'] ?? 'classic') as MemoryQueueType;
}

/** Refuses a declaration that is invalid for its type of queue. */
export function checkQueue(queue: QueueDeclaration): void {
  const { name, arguments: args } = queue;
  const invalid = (argument: string, reason: string) =>
    new ServerRefusalError(406, `invalid arg '${argument}' for queue '${name}' in vhost '/'${reason}`);
  const given = args['x-queue-type'];
  if (given !== undefined && typeof given !== 'string')
    throw invalid('x-queue-type', `: {unacceptable_type,${amqpType(given)}}`);
  const type = typeOf(queue);
  if (!isQueueType(type)) throw invalid('x-queue-type', `: "unsupported queue type '${type}'"`);
  for (const [argument, value] of Object.entries(args)) {
    if (KNOWN.has(argument) && !TAKEN_BY[type].includes(argument))
      throw invalid(argument, ` of queue type rabbit_${type}_queue`);
    const wrong = Object.hasOwn(CHECKS, argument) ? CHECKS[argument]?.(value) : undefined;
    if (wrong !== undefined) throw invalid(argument, `: ${wrong}`);
  }
  const target = args['x-dead-letter-exchange'];
  if (target !== undefined && typeof target !== 'string') {
    throw new ServerRefusalError(
      406,
      `invalid type '${amqpType(target)}' for arg 'x-dead-letter-exchange' in queue '${name}' in vhost '/'`,
    );
  }
  if (target === undefined && args['x-dead-letter-routing-key'] !== undefined)
    throw invalid('x-dead-letter-routing-key', ': routing_key_but_no_dlx_defined');
  if (type === 'classic') return;
  const property = !queue.durable
    ? 'non-durable'
    : queue.autoDelete
      ? 'auto-delete'
      : queue.exclusive
        ? 'exclusive-owner'
        : undefined;
  if (property)
    throw new ServerRefusalError(406, `invalid property '${property}' for queue '${name}' in vhost '/'`);
}

/** Refuses to declare a queue again with other properties or arguments. */
export function checkSameQueue(
  received: QueueDeclaration,
  current: QueueDeclaration,
  behaviour: Behaviour,
): void {
  const what = `queue '${current.name}'`;
  const typeIn = (queue: QueueDeclaration) =>
    behaviour.typeIsFilledIn ? typeOf(queue) : queue.arguments['x-queue-type'];
  assertEquivalent(what, 'durable', received.durable, current.durable);
  assertEquivalent(what, 'auto_delete', received.autoDelete, current.autoDelete);
  for (const argument of TAKEN_BY[typeOf(current)]) {
    if (argument !== 'x-queue-type')
      assertEquivalent(what, argument, received.arguments[argument], current.arguments[argument]);
    // In 3.x an explicit 'classic' equals a missing type, and any other difference is reported as it was written.
    else if (typeOf(received) !== typeOf(current))
      assertEquivalent(what, argument, typeIn(received), typeIn(current));
  }
}
