import type { SubscriptionContract } from '../contracts/exchange.js';
import type { QueueContract } from '../contracts/queue.js';
import type { Internals } from '../internals.js';
import type { BatchConsumerOptions } from './batch-options.js';
import { type ConsumerHost, QueueConsumer } from './consumer.js';
import type { Consumer } from './consumer-api.js';
import { parseBatchArguments, parseConsumerArguments } from './consumer-arguments.js';
import type { HandlerOptions } from './consumer-options.js';
import type { Message } from './message.js';
import type { BatchWork } from './work.js';

/** Makes the consumers of a broker. */
export class ConsumerFactory {
  readonly #host: ConsumerHost;
  readonly #internals: Internals | undefined;

  constructor(host: ConsumerHost, internals: Internals | undefined) {
    this.#host = host;
    this.#internals = internals;
  }

  /** @throws ConfigurationError naming the argument that is wrong */
  consumer(
    given: QueueContract | SubscriptionContract,
    handlerOrOptions: ((message: Message) => unknown) | HandlerOptions | undefined,
    maybeOptions: HandlerOptions | undefined,
  ): Consumer {
    const { contract, handler, options } = parseConsumerArguments(given, handlerOrOptions, maybeOptions);
    const run = handler && (this.#internals?.wrapHandler(handler) ?? handler);
    return new QueueConsumer(contract, run, options, this.#host);
  }

  /** @throws ConfigurationError naming the argument that is wrong */
  batchConsumer<Body>(
    given: QueueContract | SubscriptionContract,
    handler: BatchWork['onBatch'],
    batchOptions: BatchConsumerOptions | undefined,
  ): Consumer<Body> {
    const { contract, work, options } = parseBatchArguments(given, handler, batchOptions);
    const onBatch = this.#internals?.wrapHandler(work.onBatch) ?? work.onBatch;
    return new QueueConsumer(
      contract,
      { ...work, onBatch },
      options,
      this.#host,
    ) as Consumer as Consumer<Body>;
  }
}
