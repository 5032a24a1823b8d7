import type { QueueContract, SubscriptionContract } from '../contracts/types.js';
import { ClosedError } from '../errors.js';
import { type ConsumerHost, QueueConsumer } from './consumer.js';
import type { Consumer } from './consumer-api.js';
import type { Message } from './delivery/message.js';
import { parseBatchArguments, parseConsumerArguments } from './options/arguments.js';
import type { BatchConsumerOptions, BatchWork } from './options/batch-options.js';
import type { HandlerOptions, ResolvedConsumerOptions } from './options/consumer-options.js';
import type { Work } from './workers/make-worker.js';

/** The testing kit's wrapper around handlers. */
export interface HandlerWrapper {
  /**
   * Wraps a handler that runs inside a transaction or an idempotency guard: a simulated crash of the handler has to end the
   * guard, too.
   */
  wrapGuarded<A extends readonly unknown[]>(handler: (...args: A) => unknown): (...args: A) => unknown;
  wrapHandler<A extends readonly unknown[]>(handler: (...args: A) => unknown): (...args: A) => unknown;
}

/** Creates the consumers of a broker. */
export class ConsumerFactory {
  readonly #host: ConsumerHost;
  readonly #wrapper: HandlerWrapper | undefined;
  readonly #isClosing: () => boolean;

  constructor(host: ConsumerHost, wrapper: HandlerWrapper | undefined, isClosing: () => boolean) {
    this.#host = host;
    this.#wrapper = wrapper;
    this.#isClosing = isClosing;
  }

  /** @throws ConfigurationError that names the wrong argument */
  consumer(
    givenContract: QueueContract | SubscriptionContract,
    ...rest: [
      handlerOrOptions?: ((message: Message, tx: never) => unknown) | HandlerOptions | undefined,
      options?: object | undefined,
    ]
  ): Consumer {
    const { contract, handler, options, given } = parseConsumerArguments(givenContract, rest);
    const makeGuard = this.#host.resolveGuard(contract, handler !== undefined, given, options);
    if (!handler || !makeGuard) return this.make(contract, handler && this.wrap(handler), options);
    const guard = makeGuard(this.#wrapper?.wrapGuarded(handler) ?? handler, this.#host.events);
    return this.make(contract, { guard }, options);
  }

  /** @throws ConfigurationError that names the wrong argument */
  batchConsumer<Body>(
    given: QueueContract | SubscriptionContract,
    handler: BatchWork['onBatch'],
    batchOptions: BatchConsumerOptions | undefined,
  ): Consumer<Body> {
    const { contract, work, options } = parseBatchArguments(given, handler, batchOptions);
    const wrapped = { ...work, onBatch: this.wrap(work.onBatch) };
    return this.make(contract, wrapped, options) as Consumer as Consumer<Body>;
  }

  /** The handler as it runs: the testing kit may wrap it. */
  wrap<A extends readonly unknown[]>(handler: (...args: A) => unknown): (...args: A) => unknown {
    return this.#wrapper?.wrapHandler(handler) ?? handler;
  }

  /** @param answerFailure - for a responder: answers a request that failed */
  make(
    contract: QueueContract,
    work: Work,
    options: ResolvedConsumerOptions,
    answerFailure?: ConsumerHost['answerFailure'],
  ): QueueConsumer {
    const host = answerFailure ? { ...this.#host, answerFailure } : this.#host;
    const consumer = new QueueConsumer(contract, work, options, host);
    if (this.#isClosing()) consumer.fail(new ClosedError('The broker is closed'));
    return consumer;
  }
}
