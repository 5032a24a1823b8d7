import type { ReceivedMessage } from '../consumer/delivery/message.js';
import type { Outcome } from '../consumer/settlement/outcome.js';
import { decodeContent } from '../contracts/body/body.js';
import type { Contract, QueueContract } from '../contracts/types.js';
import { causeOf, failedQueueOf } from '../dead-letters/entry.js';
import { sentTo } from '../delay/routing-headers.js';
import { HELD, LANDED } from '../delay/topology.js';
import { ValidationError } from '../errors.js';
import { ATTEMPT_HEADER, FAILED_AT_HEADER, ownHeaders } from '../messages/headers.js';
import type { StoredMessage } from '../transport/memory/message.js';
import type { ServerLink, ServerObserver } from '../transport/memory/server.js';

/** A message that was sent. */
export interface SentMessage<Body = unknown> {
  /** The body as it was sent: the schema's input. */
  readonly body: Body;
  readonly id: string | undefined;
  readonly routingKey: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly correlationId: string | undefined;
}

/** One run of a handler, or of a loop's body, and its outcome. */
export interface HandledMessage<Body = unknown> {
  /** The body as the handler saw it: the schema's output. */
  readonly body: Body;
  readonly id: string | undefined;
  /** Which run it was, from 1. */
  readonly attempt: number;
  readonly outcome: Outcome;
  /** The error that the handler threw; undefined when it did not fail. */
  readonly error: unknown;
}

/** A message that went to the dead-letter queue. */
export interface DeadLetteredMessage<Body = unknown> {
  /** The body as it was sent; undefined when it cannot be decoded. */
  readonly body: Body;
  readonly id: string | undefined;
  /** Why it failed: the code and the message of the error, or the server's own reason, such as `expired`. */
  readonly error: { readonly code: string; readonly message: string };
  /** How many attempts were made before a handler gave up on it. */
  readonly attempt: number | undefined;
}

/** A record of everything that happened in a test, in order. */
export class Records implements ServerObserver {
  readonly #published: { readonly message: StoredMessage; readonly link: ServerLink }[] = [];
  /** The link on which the last message of an id was published, until its client has seen the confirm. */
  readonly #unconfirmed = new Map<string, ServerLink>();
  /** How many dead letters of an id are about to be put back. */
  readonly #replays = new Map<string, number>();
  readonly #enqueued: { readonly queue: string; readonly message: StoredMessage }[] = [];
  readonly #handled: { readonly queue: string; readonly record: HandledMessage }[] = [];

  onPublished(message: StoredMessage, link: ServerLink): void {
    // A delayed message that is taken on was sent before.
    if (message.exchange === LANDED || message.exchange === HELD) return;
    const { messageId } = message.properties;
    if (messageId === undefined) {
      this.#published.push({ message, link });
      return;
    }
    const replays = this.#replays.get(messageId) ?? 0;
    if (replays > 0) this.#replays.set(messageId, replays - 1);
    // An unconfirmed message is published again on the next connection, under the same id.
    const unconfirmed = this.#unconfirmed.get(messageId);
    if (replays === 0 && (unconfirmed === undefined || unconfirmed === link))
      this.#published.push({ message, link });
    this.#unconfirmed.set(messageId, link);
  }

  onConfirmed({ properties: { messageId } }: StoredMessage): void {
    if (messageId !== undefined) this.#unconfirmed.delete(messageId);
  }

  /** A dead letter that is put back was sent before. */
  onReplay(messageId: string | undefined): void {
    if (messageId !== undefined) this.#replays.set(messageId, (this.#replays.get(messageId) ?? 0) + 1);
  }

  onEnqueued(queue: string, message: StoredMessage): void {
    this.#enqueued.push({ queue, message });
  }

  onOutcome(contract: QueueContract, message: ReceivedMessage, outcome: Outcome, error: unknown): void {
    // The handler has not seen an invalid message.
    if (error instanceof ValidationError && message.body === undefined) return;
    const { body, id, attempt } = message;
    this.#handled.push({ queue: contract.name, record: { body, id, attempt, outcome, error } });
  }

  sent(contract: Contract): SentMessage[] {
    const { kind, name } = contract;
    return this.#published
      .filter(({ message }) => !isCopy(message))
      .map(({ message }) => ({ message, origin: targetOf(message) }))
      .filter(({ origin: { exchange, routingKey } }) =>
        kind === 'exchange' ? exchange === name : exchange === '' && routingKey === name,
      )
      .map(({ message, origin }) => ({
        body: bodyOf(contract, message),
        id: message.properties.messageId,
        routingKey: origin.routingKey,
        headers: { ...ownHeaders(message.headers) },
        correlationId: message.properties.correlationId,
      }));
  }

  handled({ name }: { readonly name: string }): HandledMessage[] {
    return this.#handled.filter(({ queue }) => queue === name).map(({ record }) => record);
  }

  deadLettered(contract: QueueContract): DeadLetteredMessage[] {
    const { name, deadLetter } = contract;
    return this.#enqueued
      .filter(({ queue, message }) => queue === deadLetter && failedQueueOf(message.headers) === name)
      .map(({ message }) => ({
        body: bodyOf(contract, message),
        id: message.properties.messageId,
        error: causeOf(message.headers),
        attempt: numberIn(message.headers[ATTEMPT_HEADER]),
      }));
  }
}

/** A copy for another attempt is not a new send. */
function isCopy({ headers }: StoredMessage): boolean {
  return (numberIn(headers[ATTEMPT_HEADER]) ?? 1) > 1 && headers[FAILED_AT_HEADER] === undefined;
}

function bodyOf(contract: Contract, { content, properties }: StoredMessage): unknown {
  const decoded = decodeContent(contract, Buffer.from(content), properties);
  return 'value' in decoded ? decoded.value : undefined;
}

/** The target that the sender chose, perhaps after a delay. */
function targetOf({ exchange, routingKey, headers }: StoredMessage) {
  return sentTo({ exchange, routingKey, properties: { headers } });
}

function numberIn(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
