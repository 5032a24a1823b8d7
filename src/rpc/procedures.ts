import type { ConsumerFactory } from '../consumer/consumer-factory.js';
import type { Message } from '../consumer/delivery/message.js';
import { resolveConsumerOptions } from '../consumer/options/consumer-options.js';
import { isProcedure } from '../contracts/guards.js';
import type { ProcedureContract } from '../contracts/types.js';
import { ConfigurationError } from '../errors.js';
import type { Events } from '../event-emitter.js';
import type { BackgroundPublisher } from '../producer/publisher/background-publisher.js';
import { Publisher } from '../producer/publisher/publisher.js';
import type { Connection } from '../transport/connection/connection.js';
import { checkOptions, show } from '../util/checks.js';
import type { Clock } from '../util/clock.js';
import type { RequestOptions } from './requester/request-options.js';
import { Requester } from './requester/requester.js';
import { DirectReplyChannel } from './responder/direct-reply-channel.js';
import {
  type Responder,
  type ResponderOptions,
  ResponderWork,
  responderChecks,
} from './responder/responder.js';

/**
 * The longest delay of an acknowledgement, in milliseconds. Acknowledgements are written together, because separate writes would
 * delay the answers that requesters wait for.
 */
const ACK_DELAY_MS = 5;

export interface ProceduresSettings {
  /** The publishing connection. */
  readonly connection: Connection;
  readonly clock: Clock;
  readonly events: Events;
  readonly maxBodyBytes: number;
  readonly consumers: ConsumerFactory;
}

/** Both sides of a broker's procedures: sending requests, and making a consumer answer them. */
export class Procedures {
  readonly #settings: ProceduresSettings;
  /** For queues that accept every request. */
  readonly #requester: Requester;
  /** For queues that may refuse a request, on a channel with confirms. */
  readonly #confirming: Requester;
  /** Publishes answers to queues. */
  readonly #answers: Publisher;
  /** Publishes answers to direct reply-to channels. */
  readonly #directAnswers: Publisher;

  constructor(settings: ProceduresSettings) {
    this.#settings = settings;
    const { connection, clock } = settings;
    this.#requester = new Requester({ ...settings, confirms: false });
    this.#confirming = new Requester({ ...settings, confirms: true });
    const answers = {
      target: 'the requester',
      connection,
      clock,
      contract: undefined,
      maxInFlight: 1_000,
      maxBuffered: 10_000,
    };
    this.#answers = new Publisher(answers);
    this.#directAnswers = new Publisher({
      ...answers,
      openChannel: (link, options) => DirectReplyChannel.open(link, clock, options),
    });
  }

  /** The parts that publish, for the broker to close. */
  get publishers(): readonly BackgroundPublisher[] {
    return [this.#requester, this.#confirming, this.#answers, this.#directAnswers];
  }

  request(procedure: ProcedureContract, body: unknown, options?: RequestOptions): Promise<unknown> {
    try {
      checkProcedure('request', procedure);
    } catch (error) {
      return Promise.reject(error as Error);
    }
    const requester = mayRefuse(procedure) ? this.#confirming : this.#requester;
    return requester.request(procedure, body, options);
  }

  /**
   * Creates a consumer of the procedure's queue that answers requests.
   *
   * @throws ConfigurationError for a wrong contract, handler or option
   */
  responder(
    procedure: ProcedureContract,
    handler: (message: Message) => unknown,
    options: ResponderOptions | undefined,
  ): Responder {
    checkProcedure('responder', procedure);
    const where = `responder of the procedure '${procedure.name}'`;
    if (typeof handler !== 'function') {
      throw new ConfigurationError(
        'handler',
        `${where}: the handler must be a function, got ${show(handler)}`,
      );
    }
    if (options !== undefined && Object.hasOwn(Object(options), 'noAck')) {
      throw new ConfigurationError(
        'noAck',
        `${where}: there is no option 'noAck': a request is always acknowledged, after its answer`,
      );
    }
    checkOptions(where, options, responderChecks);
    const resolved = resolveConsumerOptions(procedure.queue, options);
    const { clock, events, maxBodyBytes, consumers } = this.#settings;
    const work = new ResponderWork({
      procedure,
      handler: consumers.wrap(handler),
      answers: this.#answers,
      directAnswers: this.#directAnswers,
      clock,
      events,
      maxBodyBytes,
    });
    const delayed = { ...resolved, ackDelayMs: ACK_DELAY_MS };
    return consumers.make(procedure.queue, work.handler, delayed, work.answerFailure);
  }
}

/** True for every overflow but the server's default, which drops the oldest message instead. */
function mayRefuse({ queue }: ProcedureContract): boolean {
  const overflow = queue.arguments['x-overflow'];
  return overflow !== undefined && overflow !== 'drop-head';
}

function checkProcedure(what: string, value: unknown): asserts value is ProcedureContract {
  if (isProcedure(value)) return;
  const expected = 'a contract made by procedure()';
  throw new ConfigurationError('contract', `broker.${what}: expected ${expected}, got ${show(value)}`);
}
