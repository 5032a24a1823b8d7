import { ConfigurationError } from '../errors.js';
import { resolveContentTypes } from './body/content-types.js';
import type { CodecName, Travelling } from './body/json.js';
import type { InputOf, OutputOf, Schema } from './body/schema.js';
import { type AnyQueueOptions, checkName, checkQueueOptions, checkSchema } from './queue-checks.js';
import { deadLetterNameOf } from './topology.js';
import type { QueueContract, QueueOptions, RetryOptions, RetryPolicy } from './types.js';

/**
 * Describes a queue. Pure data: nothing is sent until a broker uses it.
 *
 * @param name - the queue's name, 1 to 255 bytes; without line ends; names that begin with `amq.` belong to
 * the server, and can be used with `declare: false` or `'passive'`
 * @param schema - any Standard Schema: zod, valibot, arktype and others. Its input must be JSON (or text, or bytes, as the
 * option `codec` says): a `z.date()` does not compile
 * @param options - how it is declared; a replicated queue with a dead-letter queue beside it by default
 * @throws ConfigurationError for a bad name, an unknown option, a value out of range, or a combination that RabbitMQ
 * refuses, such as an exclusive quorum queue
 *
 * @example
 * ```ts
 * const emails = queue('emails', z.object({ to: z.email(), subject: z.string() }), { retry: { attempts: 5 } });
 * ```
 */
export function queue<S extends Schema, C extends CodecName = 'json'>(
  name: string,
  schema: S & Travelling<InputOf<S>, C>,
  options?: QueueOptions<C, OutputOf<S>>,
): QueueContract<S> {
  return makeQueue(name, schema, options ?? {}) as QueueContract<S>;
}

/** How often a message may be redelivered before the server dead-letters it, by default: RabbitMQ 4's own default. */
const DEFAULT_DELIVERY_LIMIT = 20;

/** @internal {@link queue} without its types: checks everything and fills in the defaults. */
export function makeQueue(name: string, schema: Schema, given: object): QueueContract {
  checkName('queue', name, declareOf(given));
  checkSchema('queue', name, schema);
  const where = `queue('${name}')`;
  checkQueueOptions(where, given);
  const options: AnyQueueOptions = given;
  const type = options.type ?? 'quorum';
  const { deadLetter = true } = options;
  const contract: QueueContract = {
    kind: 'queue',
    name,
    schema,
    type,
    codec: options.codec ?? 'json',
    contentTypes: resolveContentTypes(options.contentTypes),
    durable: options.durable ?? true,
    exclusive: options.exclusive ?? false,
    autoDelete: options.autoDelete ?? false,
    bindings: [...(options.bindings ?? [])],
    retry: resolveRetry(options.retry),
    deadLetter: deadLetterName(name, deadLetter),
    deadLetterContract: typeof deadLetter === 'object' ? deadLetter : undefined,
    deliveryLimit: type === 'quorum' ? (options.deliveryLimit ?? DEFAULT_DELIVERY_LIMIT) : undefined,
    declare: options.declare ?? true,
    arguments: {},
  };
  if (contract.deadLetter === name) {
    throw new ConfigurationError('deadLetter', `${where}: a queue cannot be its own dead-letter queue`);
  }
  if (contract.deadLetter !== undefined && !contract.deadLetterContract)
    checkName('dead-letter queue', contract.deadLetter, contract.declare);
  return Object.freeze({ ...contract, arguments: Object.freeze(argumentsOf(contract, options)) });
}

/** @internal The option `declare` of a value that may not be an options object at all. */
export function declareOf(given: unknown): unknown {
  return (given as { readonly declare?: unknown } | null | undefined)?.declare;
}

function deadLetterName(
  queue: string,
  given: NonNullable<AnyQueueOptions['deadLetter']>,
): string | undefined {
  if (typeof given === 'boolean') return given ? deadLetterNameOf(queue) : undefined;
  return typeof given === 'string' ? given : given.name;
}

function resolveRetry(retry: RetryOptions | false | undefined): RetryPolicy {
  const options = retry || {};
  return {
    attempts: retry === false ? 1 : (options.attempts ?? 5),
    initialDelayMs: options.initialDelayMs ?? 1_000,
    factor: options.factor ?? 2,
    maxDelayMs: options.maxDelayMs ?? 60_000,
    jitter: options.jitter ?? true,
    // It gets the message itself.
    retryIf: options.retryIf as RetryPolicy['retryIf'],
  };
}

function argumentsOf(contract: QueueContract, options: AnyQueueOptions): Record<string, unknown> {
  const { type, deadLetter, durable, exclusive, autoDelete } = contract;
  // Quorum queues dead-letter at least once only together with reject-publish: https://www.rabbitmq.com/docs/quorum-queues
  const overflow = options.overflow ?? (type === 'quorum' && deadLetter ? 'reject-publish' : undefined);
  const all: Record<string, unknown> = {
    // A virtual host's `default_queue_type` applies to queues that can be replicated. For the others, other clients pass no
    // type.
    'x-queue-type': type !== 'classic' || (durable && !exclusive && !autoDelete) ? type : undefined,
    'x-delivery-limit': contract.deliveryLimit,
    'x-message-ttl': options.messageTtlMs,
    'x-expires': options.expiresMs,
    'x-max-length': options.maxLength,
    'x-max-length-bytes': options.maxLengthBytes,
    'x-overflow': overflow,
    'x-max-priority': options.maxPriority,
    'x-single-active-consumer': options.singleActiveConsumer || undefined,
    ...(deadLetter && type !== 'stream'
      ? {
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': deadLetter,
          'x-dead-letter-strategy':
            type === 'quorum' && overflow === 'reject-publish' ? 'at-least-once' : undefined,
        }
      : undefined),
    ...options.arguments,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
