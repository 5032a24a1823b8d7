import fc from 'fast-check';
import {
  Broker,
  type BrokerEvent,
  DeadLetter,
  exchange,
  isLeveretError,
  procedure,
  queue,
  RetryLater,
  type Schema,
} from 'leveret';
import { TestBroker } from 'leveret/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

const anySchema = z.unknown() as unknown as Schema;
const numbers = queue('numbers', z.object({ n: z.number() }));
const doubled = procedure('doubled', { request: z.number(), response: z.number() });
const events = exchange('events', z.object({ n: z.number() }), { type: 'topic' });

/** Values that a program without a type checker passes. */
const garbage: fc.Arbitrary<unknown> = fc.oneof(
  fc.anything({
    withBigInt: true,
    withBoxedValues: true,
    withDate: true,
    withMap: true,
    withNullPrototype: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
    maxDepth: 2,
  }),
  fc.constantFrom<unknown>(
    Symbol('unknown'),
    () => undefined,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
    -0,
    2 ** 53,
    '',
    'x'.repeat(300),
    '__proto__',
    'constructor',
    JSON.parse('{"__proto__": {"a": 1}, "constructor": {"prototype": 1}}'),
    Object.create({ inherited: true }),
    Promise.resolve(),
    new Proxy({}, {}),
    AbortSignal.abort(),
    Buffer.from('bytes'),
    numbers,
    events,
    anySchema,
  ),
);

/** An options object whose keys exist and whose values need not make sense. */
const optionsWith = (...keys: readonly string[]): fc.Arbitrary<unknown> =>
  fc.oneof(
    garbage,
    fc.dictionary(fc.constantFrom(...keys), fc.oneof(garbage, fc.integer({ min: -1, max: 70_000 })), {
      maxKeys: 3,
    }),
  );

const queueOptions = optionsWith(
  'type',
  'durable',
  'exclusive',
  'autoDelete',
  'bindings',
  'retry',
  'deadLetter',
  'messageTtlMs',
  'expiresMs',
  'maxLength',
  'maxLengthBytes',
  'overflow',
  'maxPriority',
  'singleActiveConsumer',
  'deliveryLimit',
  'codec',
  'declare',
  'arguments',
);
const exchangeOptions = optionsWith(
  'type',
  'durable',
  'autoDelete',
  'internal',
  'alternateExchange',
  'codec',
  'declare',
  'arguments',
  'bindings',
);
const brokerOptions = optionsWith(
  'name',
  'heartbeatSeconds',
  'startupTimeoutMs',
  'reconnect',
  'credentials',
  'tls',
  'maxBodyBytes',
  'logger',
  'signal',
);
const sendOptions = optionsWith(
  'messageId',
  'correlationId',
  'headers',
  'priority',
  'ttlMs',
  'delayMs',
  'deliverAt',
  'timeoutMs',
  'signal',
  'mandatory',
  'routingKey',
);
const producerOptions = optionsWith('maxInFlight', 'maxBuffered', 'timeoutMs');
const consumerOptions = optionsWith(
  'concurrency',
  'prefetch',
  'handlerTimeoutMs',
  'signal',
  'priority',
  'exclusive',
  'noAck',
  'offset',
);
const closeOptions = optionsWith('timeoutMs', 'signal');

/** Calls it, and complains about anything that is thrown and not an error of this package, or the reason of a signal. */
async function survives(call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (isLeveretError(error) || (error as Error)?.name === 'AbortError') return;
    expect.fail(`threw ${String((error as Error)?.stack ?? error)}`);
  }
}

/** Runs a call with whatever its arguments may be. */
const fuzz = (args: readonly fc.Arbitrary<unknown>[], call: (...given: never[]) => unknown): Promise<void> =>
  fc.assert(
    fc.asyncProperty(fc.tuple(...args), async (given) => survives(() => call(...(given as never[])))),
    { numRuns: 300 },
  );

describe('whatever it is called with, and whatever that is worth', () => {
  let broker: TestBroker;
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => void rejections.push(reason);
  beforeAll(async () => {
    broker = await TestBroker.start();
    process.on('unhandledRejection', onRejection);
  });
  afterAll(async () => {
    await broker.close({ timeoutMs: 0 });
    process.off('unhandledRejection', onRejection);
  });

  it.each<[string, fc.Arbitrary<unknown>[], (...given: never[]) => unknown]>([
    ['queue()', [garbage, garbage, queueOptions], queue],
    ['queue() of a good name', [queueOptions], (options: never) => queue('q', anySchema as never, options)],
    ['exchange()', [garbage, garbage, exchangeOptions], exchange],
    ['exchange() of a good name', [exchangeOptions], (options) => exchange('x', anySchema as never, options)],
    [
      'exchange.queue()',
      [garbage, garbage, queueOptions],
      (name, key, options) => events.queue(name, key, options),
    ],
    ['exchange.subscription()', [garbage, queueOptions], (key, options) => events.subscription(key, options)],
    [
      'new Broker()',
      [garbage, brokerOptions],
      (url, options) => new Broker(url, options).close({ timeoutMs: 0 }),
    ],
    [
      'new Broker() of a good URL',
      [brokerOptions],
      (options) => new Broker('memory:', options).close({ timeoutMs: 0 }),
    ],
    ['broker.on()', [garbage, garbage], (event: BrokerEvent, listener) => broker.on(event, listener)],
    ['broker.off()', [garbage, garbage], (event: BrokerEvent, listener) => broker.off(event, listener)],
    ['broker.declare()', [garbage, garbage], (one, other) => broker.declare(one, other)],
    ['broker.stats()', [garbage], (it) => broker.stats(it)],
    ['broker.purge()', [garbage], (it) => broker.purge(it)],
    ['broker.delete()', [garbage], (it) => broker.delete(it)],
    ['broker.producer()', [garbage, producerOptions], (it, options) => broker.producer(it, options).close()],
    [
      'broker.consumer()',
      [garbage, garbage, consumerOptions],
      (it, handler, options) => broker.consumer(it, handler, options).close({ timeoutMs: 0 }),
    ],
    [
      'broker.consumer() of a good queue',
      [garbage, consumerOptions],
      (handler, options) => broker.consumer(numbers, handler, options).close({ timeoutMs: 0 }),
    ],
    [
      'consumer.close()',
      [closeOptions],
      (options) => {
        const consumer = broker.consumer(numbers, () => undefined);
        const closed = consumer.close(options);
        return closed;
      },
    ],
    [
      'producer.send()',
      [garbage, sendOptions],
      (body, options) => broker.producer(numbers).send(body, options),
    ],
    [
      'producer.send() of a good body',
      [sendOptions],
      (options) => broker.producer(numbers).send({ n: 1 }, options),
    ],
    [
      'producer.send() to an exchange',
      [sendOptions],
      (options) => broker.producer(events).send({ n: 1 }, options),
    ],
    [
      'producer.sendAll()',
      [garbage, optionsWith('onProgress', 'signal')],
      (bodies, options) => broker.producer(numbers).sendAll(bodies, options),
    ],
    [
      'broker.close()',
      [closeOptions],
      async (options) => {
        const other = new Broker('memory:');
        try {
          await other.close(options);
        } finally {
          await other.close({ timeoutMs: 0 });
        }
      },
    ],
    [
      'procedure()',
      [garbage, optionsWith('request', 'response', 'codec', 'messageTtlMs', 'declare', 'type')],
      procedure,
    ],
    [
      'broker.request()',
      [garbage, garbage, optionsWith('timeoutMs', 'signal', 'headers', 'correlationId', 'priority')],
      (it, body, options) => broker.request(it, body, options),
    ],
    [
      'broker.request() of a good body',
      [optionsWith('signal', 'headers', 'correlationId', 'priority')],
      (options: object) => broker.request(doubled, 1, { timeoutMs: 5, ...options }),
    ],
    [
      'broker.responder()',
      [garbage, garbage, consumerOptions],
      (it, handler, options) => broker.responder(it, handler, options).close({ timeoutMs: 0 }),
    ],
    [
      'broker.responder() of a good procedure',
      [consumerOptions],
      (options) => broker.responder(doubled, ({ body }) => body, options).close({ timeoutMs: 0 }),
    ],
    [
      'broker.batchConsumer()',
      [garbage, optionsWith('size', 'maxWaitMs', 'signal', 'handlerTimeoutMs', 'prefetch')],
      (handler, options) => broker.batchConsumer(numbers, handler, options).close({ timeoutMs: 0 }),
    ],
    ['broker.deadLetters()', [garbage], (it) => broker.deadLetters(it)],
    [
      'deadLetters.list()',
      [optionsWith('limit', 'signal')],
      (options) => broker.deadLetters(numbers).list(options),
    ],
    [
      'deadLetters.replay()',
      [optionsWith('limit', 'filter', 'ratePerSecond', 'onProgress', 'signal')],
      (options) => broker.deadLetters(numbers).replay(options),
    ],
    [
      'new Broker() with wrong pauses',
      [optionsWith('initialDelayMs', 'refusedMaxDelayMs', 'maxDelayMs', 'factor')],
      (reconnect) => new Broker('memory:', { reconnect }).close({ timeoutMs: 0 }),
    ],
    [
      'queue() with a wrong policy',
      [optionsWith('attempts', 'initialDelayMs', 'factor', 'maxDelayMs', 'jitter', 'retryIf')],
      (retry) => queue('q', anySchema, { retry }),
    ],
    [
      'queue() with wrong bindings',
      [fc.array(optionsWith('exchange', 'routingKey', 'arguments'), { maxLength: 2 })],
      (bindings) => queue('q', anySchema, { bindings }),
    ],
    ['new RetryLater()', [optionsWith('delayMs', 'cause')], (options) => new RetryLater(options)],
    ['new DeadLetter()', [fc.string(), garbage], (reason, options) => new DeadLetter(reason, options)],
  ])('%s throws nothing but what is documented', async (_what, args, call) => {
    await fuzz(args, call);
    expect(rejections).toEqual([]);
    expect(({} as { a?: number }).a).toBeUndefined();
  });
});
