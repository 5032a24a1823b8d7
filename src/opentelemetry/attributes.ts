import type { Attributes } from '@opentelemetry/api';
import type { Subject } from '../diagnostics/side-table.js';
import { isLeveretError } from '../errors.js';

/** The first word of a span's name. */
export type OperationName = 'send' | 'request' | 'process' | 'ack' | 'retry' | 'dead-letter' | 'requeue';

/** The target of an operation, or the source of its message. */
export interface Destination {
  /** The name of the contract. It is bounded, so it is used in the names of spans and in metrics. */
  readonly contract: string;
  readonly exchange?: string | undefined;
  readonly routingKey?: string | undefined;
  /** For consumed messages. */
  readonly queue?: string | undefined;
  readonly isSubscription?: boolean;
}

export interface ServerFields {
  readonly serverAddress: string | undefined;
  readonly serverPort: number | undefined;
}

export interface MessageIds {
  readonly messageId: string | undefined;
  readonly correlationId: string | undefined;
}

/** The attributes that every span has. Names: messaging 1.44 of the semantic conventions. */
export function spanAttributes(
  operation: OperationName,
  destination: Destination,
  server: ServerFields,
  ids?: MessageIds,
): Attributes {
  const { contract, routingKey, isSubscription } = destination;
  const name = destinationName(destination);
  return defined({
    ...operationAttributes(operation),
    'messaging.operation.type': operationType(operation),
    'messaging.destination.name': name,
    'messaging.destination.template': contract === name ? undefined : contract,
    'messaging.destination.temporary': isSubscription ? true : undefined,
    'messaging.destination.anonymous': isSubscription ? true : undefined,
    'messaging.rabbitmq.destination.routing_key': routingKey === '' ? undefined : routingKey,
    'messaging.message.id': ids?.messageId,
    'messaging.message.conversation_id': ids?.correlationId,
    ...serverAttributes(server),
  });
}

/** The attributes of a metric. The destination is always the contract's name, so that their number is bounded. */
export function metricAttributes(
  operation: OperationName,
  contract: string,
  server: ServerFields,
  errorType: string | undefined,
): Attributes {
  return defined({
    ...operationAttributes(operation),
    'messaging.destination.name': contract,
    ...serverAttributes(server),
    'error.type': errorType,
  });
}

export function operationType(operation: OperationName): 'send' | 'process' | 'settle' {
  if (operation === 'send' || operation === 'request') return 'send';
  return operation === 'process' ? 'process' : 'settle';
}

/** `{exchange}:{routing key}:{queue}`, without empty parts, and with one part if the queue equals the routing key. */
function destinationName({ exchange = '', routingKey = '', queue = '' }: Destination): string {
  return [exchange, routingKey, queue === routingKey ? '' : queue].filter((part) => part !== '').join(':');
}

/** The destination according to a consumed message's payload and its subject. */
export function consumedDestination(
  { contract, isSubscription }: Subject,
  queue: string,
  message: { readonly exchange: string; readonly routingKey: string } | undefined,
): Destination {
  return { contract, isSubscription, queue, exchange: message?.exchange, routingKey: message?.routingKey };
}

/** The name of a failure: a Leveret error's code, otherwise the name of the error's class. */
export function errorType(error: unknown): string {
  if (isLeveretError(error)) return error.code;
  try {
    const name: unknown = error instanceof Error ? error.constructor.name : undefined;
    return typeof name === 'string' && name !== '' ? name : '_OTHER';
  } catch {
    return '_OTHER';
  }
}

function operationAttributes(operation: OperationName): Attributes {
  // Also in memory, which behaves as RabbitMQ does.
  return { 'messaging.system': 'rabbitmq', 'messaging.operation.name': operation };
}

function serverAttributes({ serverAddress, serverPort }: ServerFields): Attributes {
  return { 'server.address': serverAddress, 'server.port': serverPort };
}

function defined(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
}
