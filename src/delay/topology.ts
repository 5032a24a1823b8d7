import { createHash } from 'node:crypto';
import { NEVER_REACHED, type TopologyStep } from '../contracts/topology.js';
import type { BindingDeclaration } from '../transport/port.js';
import { type DelayQueue, digitAt, LEVELS, type Level, levelCountOf } from './levels.js';

/**
 * The exchanges and queues in which delayed messages wait. Each level stands for a digit of the delay. It has one exchange and
 * three queues (three more for high priorities), whose messages expire to the exchange of the next lower level. A message has a
 * header per level with its digit there, or 0 to skip the level, so that its routing key stays the sender's own. After the lowest
 * level, an exchange sends the message to the landing queue of its target.
 *
 * ```text
 * leveret.delay.1s ──1──▶ [leveret.delay.1s] ──┬─expires──▶ leveret.delay.250ms ──1──▶ …
 *                  ──2──▶ [leveret.delay.2s] ──┤                                ──2──▶ …
 *                  ──3──▶ [leveret.delay.3s] ──┤                                ──3──▶ …
 *                  ──0─────────────────────────┘                                ──0──▶ … leveret.delay.deliver
 *
 * leveret.delay.deliver ──target──▶ [leveret.delay.to.queue.target] ──expires──▶ leveret.delay.landed ──target──▶ target
 * ```
 *
 * While a program with Leveret consumes from a landing queue and has room, {@link Landings} forwards its messages instead.
 */
const PREFIX = 'leveret.delay.';

/** The exchange that sends messages to their landing queues after their delay. */
export const DELIVER = `${PREFIX}deliver`;

/**
 * The exchange that sends landed messages to their targets.
 *
 * A queue that refuses messages (full, or limited by a policy) occupies the dead-letter worker that serves it: 32 messages for
 * 180 s each. So each target has a landing queue of its own, and delays no messages of other targets.
 */
export const LANDED = `${PREFIX}landed`;

/** The exchange that sends the messages which a queue has refused to its holding queue. */
export const HELD = `${PREFIX}held`;

/**
 * How long a refused message is held before it lands again, because the program that holds it may be gone. While such a program
 * runs and the queue still refuses, the message is held again.
 */
const HELD_MS = 5 * 60_000;

/** The exchange and the queue for messages whose target no longer exists. */
export const UNDELIVERED = `${PREFIX}undelivered`;

/**
 * A queue that discards everything. It receives a copy of each message for an exchange, so that the message is routed even if no
 * queue is bound to that exchange.
 */
const SINK = `${PREFIX}sink`;

/** The header that names the queue of a delayed message. */
export const QUEUE_HEADER = 'leveret-delay-to-queue';

/** The header that names the exchange of a delayed message. */
export const EXCHANGE_HEADER = 'leveret-delay-to-exchange';

/**
 * The same header in messages of versions without landings. Their targets are still bound to {@link DELIVER} by these
 * headers: with different names, messages already on their way arrive, and none arrives twice.
 */
export const FORMER_EXCHANGE_HEADER = 'leveret-delay-exchange';

/** RabbitMQ 4.0 to 4.2 keep two classes of priority in a quorum queue: up to this priority, and above it. */
const HIGHEST_LOW_PRIORITY = 4;

/** The final target of a delayed message. */
export type DelayTarget = BindingDeclaration['destination'];

/** Tells targets apart in a map. */
export function targetKey({ kind, name }: DelayTarget): string {
  return `${kind} ${name}`;
}

/**
 * The set of queues that a message waits in. In one set, a message of the higher class that is not yet due would block the lower
 * class behind it (measured on 4.0; 3.x and 4.3 look at each priority separately).
 */
export type PriorityClass = 'low' | 'high';

export function classOf(priority: number | undefined): PriorityClass {
  return (priority ?? 0) > HIGHEST_LOW_PRIORITY ? 'high' : 'low';
}

/** The value of a level's header that lets a message wait there. */
export function delayQueueValue(digit: number, priorities: PriorityClass): number {
  return priorities === 'high' ? HIGH + digit : digit;
}

/** The offset of the digits of the higher class. */
const HIGH = 10;

export function headerOf({ label }: Level): string {
  return `leveret-delay-${label}`;
}

export function exchangeOf({ label }: Level): string {
  return `${PREFIX}${label}`;
}

/** The queue that a message with a delay of this many units comes to first. */
export function delayQueueName(units: number, priorities: PriorityClass): string {
  const at = levelCountOf(units) - 1;
  return queueNameOf(LEVELS[at]?.queues[digitAt(units, at) - 1]?.label ?? '', priorities);
}

function queueNameOf(label: string, priorities: PriorityClass): string {
  return `${PREFIX}${priorities === 'high' ? 'high.' : ''}${label}`;
}

/** True for the names of the queues and exchanges that are declared here. */
export function isDelayName(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** The steps that all delays need, and those for the exchanges of this many of the lowest levels. */
export function commonSteps(levelCount: number): TopologyStep[] {
  const steps = [
    exchangeStep(UNDELIVERED, 'fanout'),
    queueStep(UNDELIVERED, { 'x-queue-type': 'quorum', 'x-delivery-limit': NEVER_REACHED }),
    bindingStep({ kind: 'queue', name: UNDELIVERED }, UNDELIVERED, {}),
    // Otherwise an unroutable message would be sent again every three minutes, and 32 such messages stop the whole level.
    exchangeStep(DELIVER, 'headers', { 'alternate-exchange': UNDELIVERED }),
    // Explicit, so that no virtual host's default makes it another type.
    queueStep(SINK, { 'x-queue-type': 'classic', 'x-max-length': 0 }),
    // No value: the header only has to be present.
    bindingStep({ kind: 'queue', name: SINK }, DELIVER, { [FORMER_EXCHANGE_HEADER]: null }),
    exchangeStep(LANDED, 'headers', { 'alternate-exchange': UNDELIVERED }),
    bindingStep({ kind: 'queue', name: SINK }, LANDED, { [EXCHANGE_HEADER]: null }),
  ];
  for (const [at, level] of LEVELS.slice(0, levelCount).entries()) {
    steps.push(exchangeStep(exchangeOf(level), 'headers'));
    steps.push(
      bindingStep({ kind: 'exchange', name: below(at) }, exchangeOf(level), {
        'x-match': 'all',
        [headerOf(level)]: 0,
      }),
    );
  }
  return steps;
}

/** The steps for one delay queue, with its binding. */
export function delayQueueSteps(
  at: number,
  { digit, ttlMs, label }: DelayQueue,
  priorities: PriorityClass,
): TopologyStep[] {
  const level = LEVELS[at] as Level;
  const name = queueNameOf(label, priorities);
  const match = { 'x-match': 'all', [headerOf(level)]: delayQueueValue(digit, priorities) };
  return [
    queueStep(name, expiryArguments(ttlMs, below(at))),
    bindingStep({ kind: 'queue', name }, exchangeOf(level), match),
  ];
}

/** The arguments of a queue whose messages expire to another exchange, and which loses none of them. */
function expiryArguments(ttlMs: number, next: string): Readonly<Record<string, unknown>> {
  return {
    'x-queue-type': 'quorum',
    'x-message-ttl': ttlMs,
    'x-dead-letter-exchange': next,
    // At least once, which only goes together with reject-publish: https://www.rabbitmq.com/docs/quorum-queues
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
    'x-delivery-limit': NEVER_REACHED,
  };
}

/**
 * The steps for the landing queue of one target, with its binding. A message that lands goes on at once: to a consumer of the landing
 * queue, or by expiring.
 */
export function landingSteps(target: DelayTarget): TopologyStep[] {
  const name = landingOf(target);
  return [
    queueStep(name, expiryArguments(0, LANDED)),
    bindingStep({ kind: 'queue', name }, DELIVER, matchOf(target)),
  ];
}

/** The steps for the holding queue of one queue, with its binding. */
export function heldSteps(target: DelayTarget): TopologyStep[] {
  const name = heldOf(target);
  return [
    exchangeStep(HELD, 'headers'),
    queueStep(name, expiryArguments(HELD_MS, DELIVER)),
    bindingStep({ kind: 'queue', name }, HELD, matchOf(target)),
  ];
}

/** The step that binds one target to the exchange of landed messages. */
export function targetStep(target: DelayTarget): TopologyStep {
  return bindingStep(target, LANDED, matchOf(target));
}

/** The name of a target's landing queue. */
export function landingOf(target: DelayTarget): string {
  return nameFor('to', target);
}

/** The name of a target's holding queue. */
export function heldOf(target: DelayTarget): string {
  return nameFor('held', target);
}

/** A checksum replaces the end of a name that does not fit into 255 bytes. */
function nameFor(use: string, { kind, name }: DelayTarget): string {
  const whole = `${PREFIX}${use}.${kind}.${name}`;
  if (Buffer.byteLength(whole) <= MAX_NAME_BYTES) return whole;
  const digest = createHash('sha256').update(name).digest('hex');
  const start = Buffer.from(whole).toString('utf8', 0, MAX_NAME_BYTES - digest.length - 4);
  return `${start.replace(/\ufffd$/, '')}.${digest}`;
}

const MAX_NAME_BYTES = 255;

function matchOf({ kind, name }: DelayTarget): Readonly<Record<string, unknown>> {
  return { 'x-match': 'all', [kind === 'queue' ? QUEUE_HEADER : EXCHANGE_HEADER]: name };
}

/** The exchange of the next lower level. */
function below(at: number): string {
  const lower = LEVELS[at - 1];
  return lower ? exchangeOf(lower) : DELIVER;
}

function exchangeStep(
  name: string,
  type: string,
  args: Readonly<Record<string, unknown>> = {},
): TopologyStep {
  return {
    kind: 'exchange',
    exchange: { name, type, durable: true, autoDelete: false, internal: false, arguments: args },
  };
}

function queueStep(name: string, args: Readonly<Record<string, unknown>>): TopologyStep {
  return {
    kind: 'queue',
    queue: { name, durable: true, exclusive: false, autoDelete: false, arguments: args },
  };
}

function bindingStep(
  destination: DelayTarget,
  source: string,
  args: Readonly<Record<string, unknown>>,
): TopologyStep {
  return { kind: 'binding', binding: { destination, source, routingKey: '', arguments: args } };
}
