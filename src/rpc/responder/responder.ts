import type { Consumer } from '../../consumer/consumer-api.js';
import type { Message, ReceivedMessage } from '../../consumer/delivery/message.js';
import { type ConsumerOptions, consumerChecks } from '../../consumer/options/consumer-options.js';
import { encodeBody, type LaterBody } from '../../contracts/body/body.js';
import { codecs } from '../../contracts/body/codec.js';
import type { ProcedureContract } from '../../contracts/types.js';
import { ClosedError, isLeveretError, MessageTooLargeError } from '../../errors.js';
import type { Events } from '../../event-emitter.js';
import type { Publisher } from '../../producer/publisher/publisher.js';
import { isReplyAddress } from '../../transport/port.js';
import type { Check } from '../../util/checks.js';
import type { Clock } from '../../util/clock.js';
import { isThenable } from '../../util/promises.js';
import { uuid } from '../../util/uuid.js';
import { targetOf } from '../target.js';
import { type Answer, failureAnswer, replyTo } from './reply.js';

/** The options of `broker.responder(…)`: those of a consumer. A request is always acknowledged after its answer. */
export type ResponderOptions = Omit<ConsumerOptions, 'noAck'>;

/** @internal */
export const responderChecks: Readonly<Record<string, Check>> = Object.fromEntries(
  Object.entries(consumerChecks).filter(([name]) => name !== 'noAck' && name !== 'orderBy'),
);

/**
 * Answers the requests of one procedure. Created by `broker.responder(…)`; starts by itself. `close` stops deliveries,
 * requeues the requests that no handler has seen, and waits until the running handlers have finished and their answers are
 * confirmed. In `stats`, an answered request counts as `acked`, even if the answer is an error.
 */
export type Responder = Omit<Consumer, typeof Symbol.asyncIterator>;

/** How long the confirm of an answer may take. */
const TIMEOUT_MS = 30_000;

export interface ResponderSettings {
  readonly procedure: ProcedureContract;
  readonly handler: (message: Message) => unknown;
  /** Publishes answers to queues. */
  readonly answers: Publisher;
  /** Publishes answers to requesters' direct reply-to channels. */
  readonly directAnswers: Publisher;
  readonly clock: Clock;
  readonly events: Events;
  readonly maxBodyBytes: number;
}

/** Turns the result or the error of a handler into an answer, and publishes it before the request is acknowledged. */
export class ResponderWork {
  readonly #settings: ResponderSettings;
  readonly #target: string;

  constructor(settings: ResponderSettings) {
    this.#settings = settings;
    this.#target = `the response from ${targetOf(settings.procedure)}`;
  }

  /** The consumer's handler: fails when the user's handler does, or when its result does not match the schema. */
  readonly handler = (given: Message): unknown => {
    const message = given as ReceivedMessage;
    let result: unknown;
    try {
      result = this.#settings.handler(message);
    } catch (error) {
      return this.#fail(message, error);
    }
    if (!isThenable(result)) return this.#answer(message, result);
    return result.then(
      (body) => this.#answer(message, body),
      (error: unknown) => this.#fail(message, error),
    );
  };

  /**
   * Answers with the error. Resolves when the answer is confirmed, or cannot be sent; undefined when there is nothing to wait
   * for.
   */
  readonly answerFailure = (message: ReceivedMessage, error: unknown): Promise<void> | undefined =>
    this.#publish(message, failureAnswer(error));

  #answer(message: ReceivedMessage, body: unknown): undefined | Promise<void> {
    // The request was requeued, or already answered with an error because its handler took too long. One that was
    // acknowledged early is still answered.
    if (message.hasVerdict && !message.isAcknowledged) return undefined;
    const { procedure, maxBodyBytes } = this.#settings;
    const { response: schema, codec } = procedure;
    let encoded: Buffer | LaterBody;
    try {
      encoded = encodeBody({ schema, codec }, this.#target, body, maxBodyBytes);
    } catch (error) {
      return this.#fail(message, error);
    }
    if (Buffer.isBuffer(encoded)) {
      this.#give(message, encoded);
      return undefined;
    }
    return encoded.content.then(
      (it) => this.#give(message, it),
      (error: unknown) => this.#fail(message, error),
    );
  }

  /** A request that was acknowledged early takes no other verdict: then only this place can answer with the error. */
  #fail(message: ReceivedMessage, error: unknown): never {
    if (message.isAcknowledged) this.answerFailure(message, error)?.catch(nothing);
    throw error;
  }

  #give(message: ReceivedMessage, content: Buffer): void {
    if (message.hasVerdict && !message.isAcknowledged) return;
    const { codec } = this.#settings.procedure;
    const answered = this.#publish(message, { content, contentType: codecs[codec].contentType });
    // Not awaited here: the next request need not wait for the confirm of this answer.
    if (!message.settle({ kind: 'answer', answered })) answered?.catch(nothing);
  }

  /**
   * Rejects when it is uncertain whether the answer was sent: the request then has to be processed again. Undefined when
   * there is nothing to wait for.
   */
  #publish(message: ReceivedMessage, answer: Answer): Promise<void> | undefined {
    const { answers, directAnswers, clock } = this.#settings;
    const messageId = uuid();
    const timestamp = Math.floor(clock.wallNow() / 1_000);
    const reply = replyTo(message.delivery, answer, { messageId, timestamp });
    if (!reply) return undefined;
    const isToChannel = isReplyAddress(reply.routingKey);
    const publisher = isToChannel ? directAnswers : answers;
    const { inFlight } = publisher;
    const options = { timeoutMs: TIMEOUT_MS, signal: undefined, hasOwnId: false };
    const confirmed = publisher.add(reply, { messageId }, options);
    const refused = (error: unknown) => this.#refused(message, error);
    if (!isToChannel || publisher.inFlight === inFlight) return confirmed.then(nothing, refused);
    // Writing it is enough: the server keeps no direct reply, so its confirm would vouch for nothing. The publisher sends the
    // answer again if the connection is lost before, and the acknowledgement need not wait.
    confirmed.catch((error: unknown) => refused(error).catch(nothing));
    return undefined;
  }

  async #refused(message: ReceivedMessage, error: unknown): Promise<void> {
    if (!isPermanent(error)) throw error;
    this.#failed(message, error);
    if (error instanceof MessageTooLargeError) await this.answerFailure(message, error);
  }

  /** The answer has no possible receiver: another run of the handler would end here, too. */
  #failed({ id, attempt }: ReceivedMessage, error: unknown): void {
    const { procedure, events } = this.#settings;
    events.emit('handler-error', { queue: procedure.name, messageId: id, attempt, error });
  }
}

const nothing = () => {};

function isPermanent(error: unknown): boolean {
  return isLeveretError(error) && !error.retryable && !(error instanceof ClosedError);
}
