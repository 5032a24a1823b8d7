import {
  type Attributes,
  context,
  type Link,
  ROOT_CONTEXT,
  SpanKind,
  type SpanOptions,
  type Tracer,
} from '@opentelemetry/api';
import type {
  ConsumedMessageFields,
  ProcessMessageTrace,
  ProcessTrace,
  RequestTrace,
  SendTrace,
  SettleTrace,
} from '../diagnostics/payloads.js';
import { type Subject, sideTable } from '../diagnostics/side-table.js';
import { isLeveretError } from '../errors.js';
import {
  consumedDestination,
  errorType,
  metricAttributes,
  type OperationName,
  operationType,
  spanAttributes,
} from './attributes.js';
import { contextOf, rememberContext } from './message-context.js';
import type { Metrics } from './metrics.js';
import { Operation } from './operation.js';
import { contextIn, inject, spanContextIn } from './propagation.js';

export interface ObserverSettings {
  readonly tracer: () => Tracer;
  readonly metrics: Metrics;
  readonly useLinksForConsume: () => boolean;
}

/** Creates spans and measurements from traces. */
export class Observer {
  readonly #settings: ObserverSettings;
  readonly #operations = new WeakMap<object, Operation>();

  constructor(settings: ObserverSettings) {
    this.#settings = settings;
  }

  sendStarted(payload: SendTrace | RequestTrace): void {
    const { kind, destination, headers } = payload;
    const name = kind === 'procedure' ? 'request' : 'send';
    const carried = spanContextIn(contextIn(headers));
    const isKept = carried !== undefined || headers.traceparent !== undefined;
    const options: SpanOptions = {
      // Another sender has begun the message's trace: this span only covers its way to the server.
      kind: isKept ? SpanKind.CLIENT : SpanKind.PRODUCER,
      attributes: {
        ...spanAttributes(name, { ...payload, contract: destination }, payload, payload),
        ...delay('delayMs' in payload ? payload.delayMs : undefined),
      },
      links: carried ? [{ context: carried }] : [],
    };
    const operation = this.#begin(payload, name, destination, options);
    if (!isKept) inject(operation.context, headers);
  }

  sendEnded(payload: SendTrace | RequestTrace): void {
    const name = payload.kind === 'procedure' ? 'request' : 'send';
    const operation = this.#operations.get(payload);
    if (!operation) return;
    const { metrics } = this.#settings;
    const error = failureOf(payload);
    if (error) operation.fail(error.error);
    const type = error && errorType(error.error);
    const attributes = metricAttributes(name, payload.destination, payload, type);
    if (!error || wasTried(error.error)) metrics.sent(attributes, operation.context);
    metrics.operationTook(operation.end(), withType(attributes, name), operation.context);
  }

  runStarted(payload: ProcessTrace): void {
    const subject = sideTable.subjects.get(payload);
    if (!subject) return;
    if (payload.messages) this.#batchStarted(payload, payload.messages, subject);
    else this.#messageStarted(payload, subject);
  }

  runEnded(payload: ProcessTrace): void {
    const operation = this.#operations.get(payload);
    const subject = sideTable.subjects.get(payload);
    if (!operation || !subject) return;
    const error = failureOf(payload);
    // The handler's own word for "try again".
    const isFailure = error !== undefined && !asksForRetry(error.error);
    if (isFailure) operation.fail(error.error);
    const type = isFailure ? errorType(error.error) : undefined;
    const attributes = metricAttributes('process', subject.contract, payload, type);
    this.#settings.metrics.processTook(operation.end(), attributes, operation.context);
  }

  verdictStarted(payload: SettleTrace): void {
    const subject = sideTable.subjects.get(payload);
    if (!subject) return;
    const { verdict, queue, delayMs } = payload;
    const known = subject.message && contextOf(subject.message);
    if (!known && isInvalid(payload)) this.#countInvalid(payload, subject);
    const options: SpanOptions = {
      kind: SpanKind.CLIENT,
      attributes: {
        ...spanAttributes(verdict, consumedDestination(subject, queue, payload), payload, payload),
        ...consumed(payload),
        ...delay(delayMs),
      },
    };
    const parent = known ?? contextIn(payload.headers);
    this.#operations.set(
      payload,
      new Operation(this.#settings.tracer(), `${verdict} ${subject.contract}`, options, parent),
    );
  }

  verdictEnded(payload: SettleTrace): void {
    const operation = this.#operations.get(payload);
    const subject = sideTable.subjects.get(payload);
    if (!operation || !subject) return;
    const error = failureOf(payload);
    if (error) operation.fail(error.error);
    const { verdict } = payload;
    const type = error && errorType(error.error);
    const attributes = metricAttributes(verdict, subject.contract, payload, type);
    this.#settings.metrics.operationTook(operation.end(), withType(attributes, verdict), operation.context);
  }

  #messageStarted(payload: ProcessMessageTrace, subject: Subject): void {
    const carried = contextIn(payload.headers);
    const isOwnTrace = this.#settings.useLinksForConsume();
    const options: SpanOptions = {
      kind: SpanKind.CONSUMER,
      root: isOwnTrace,
      attributes: {
        ...spanAttributes('process', consumedDestination(subject, payload.queue, payload), payload, payload),
        ...consumed(payload),
      },
      links: linksTo([carried]),
    };
    const name = `process ${subject.contract}`;
    const parent = isOwnTrace ? ROOT_CONTEXT : carried;
    const operation = new Operation(this.#settings.tracer(), name, options, parent, carried);
    this.#operations.set(payload, operation);
    if (subject.message) rememberContext(subject.message, operation.context);
    if (!payload.loop) this.#surround(payload, operation);
    this.#count(payload, subject, operation, 1);
  }

  #batchStarted(payload: ProcessTrace, messages: readonly ConsumedMessageFields[], subject: Subject): void {
    const contexts = messages.map(({ headers }) => contextIn(headers));
    const [first] = messages;
    const shared = {
      exchange: messages.every(({ exchange }) => exchange === first?.exchange) ? (first?.exchange ?? '') : '',
      routingKey: messages.every(({ routingKey }) => routingKey === first?.routingKey)
        ? (first?.routingKey ?? '')
        : '',
    };
    const options: SpanOptions = {
      kind: SpanKind.CONSUMER,
      root: true,
      attributes: {
        ...spanAttributes('process', consumedDestination(subject, payload.queue, shared), payload),
        'messaging.batch.message_count': messages.length,
      },
      links: linksTo(contexts, messages),
    };
    const name = `process ${subject.contract}`;
    const operation = new Operation(this.#settings.tracer(), name, options, ROOT_CONTEXT);
    this.#operations.set(payload, operation);
    messages.forEach((entry, index) => {
      const message = sideTable.subjects.get(entry)?.message;
      if (message) rememberContext(message, operation.contextWithin(contexts[index] ?? ROOT_CONTEXT));
    });
    this.#surround(payload, operation);
    this.#count(payload, subject, operation, messages.length);
  }

  #begin(
    payload: SendTrace | RequestTrace,
    name: OperationName,
    contract: string,
    options: SpanOptions,
  ): Operation {
    const operation = new Operation(
      this.#settings.tracer(),
      `${name} ${contract}`,
      options,
      context.active(),
    );
    this.#operations.set(payload, operation);
    return operation;
  }

  /**
   * Whatever the context was before: that of the first sender, or of the code that created the consumer, does not apply here.
   */
  #surround(payload: object, operation: Operation): void {
    sideTable.surroundings.set(payload, (work) => context.with(operation.context, work));
  }

  #count(payload: ProcessTrace, subject: Subject, operation: Operation, messages: number): void {
    const attributes = metricAttributes('process', subject.contract, payload, undefined);
    this.#settings.metrics.consumed(messages, attributes, operation.context);
  }

  #countInvalid(payload: SettleTrace, subject: Subject): void {
    const attributes = metricAttributes('process', subject.contract, payload, errorType(payload.reason));
    this.#settings.metrics.consumed(1, attributes, contextIn(payload.headers));
  }
}

function consumed({ attempt, deliveryTag }: ConsumedMessageFields): Attributes {
  return { 'leveret.attempt': attempt, 'messaging.rabbitmq.message.delivery_tag': deliveryTag };
}

function delay(delayMs: number | undefined): Attributes {
  return delayMs === undefined ? {} : { 'leveret.delay_ms': delayMs };
}

function withType(attributes: Attributes, operation: OperationName): Attributes {
  return { ...attributes, 'messaging.operation.type': operationType(operation) };
}

/** @param messages - for a batch: the links identify its messages */
function linksTo(
  contexts: readonly ReturnType<typeof contextIn>[],
  messages?: readonly ConsumedMessageFields[],
): Link[] {
  return contexts.flatMap((carried, index) => {
    const found = spanContextIn(carried);
    if (!found) return [];
    const id = messages?.[index]?.messageId;
    return [
      id === undefined ? { context: found } : { context: found, attributes: { 'messaging.message.id': id } },
    ];
  });
}

function failureOf(payload: object): { readonly error: unknown } | undefined {
  return 'error' in payload ? { error: payload.error } : undefined;
}

/** False when the message was refused before anything was sent. */
function wasTried(error: unknown): boolean {
  return !isLeveretError(error) || !REFUSED.has(error.code);
}

const REFUSED: ReadonlySet<string> = new Set(['INVALID_BODY', 'INVALID_OPTION', 'MESSAGE_TOO_LARGE']);

function isInvalid({ verdict, reason }: SettleTrace): boolean {
  return verdict === 'dead-letter' && isLeveretError(reason) && reason.code === 'INVALID_BODY';
}

const RETRY_LATER = Symbol.for('leveret.retry-later');

function asksForRetry(error: unknown): boolean {
  try {
    return typeof error === 'object' && error !== null && RETRY_LATER in error;
  } catch {
    return false;
  }
}
