import { ORIGIN_HEADERS } from '../messages/headers.js';
import { headerIn, headersOf } from '../messages/properties.js';
import type { Delivery, OutgoingMessage } from '../transport/port.js';
import { digitAt, LEVELS, type Level, levelCountOf } from './levels.js';
import {
  classOf,
  type DelayTarget,
  delayQueueValue,
  EXCHANGE_HEADER,
  exchangeOf,
  FORMER_EXCHANGE_HEADER,
  headerOf,
  isDelayName,
  QUEUE_HEADER,
} from './topology.js';

/** The target of an outgoing message. */
export function targetOf({ exchange, routingKey }: OutgoingMessage): DelayTarget {
  return exchange === '' ? { kind: 'queue', name: routingKey } : { kind: 'exchange', name: exchange };
}

/** The message as it is published to a delay of this many units. It is mandatory, even where its target need not exist. */
export function delayed(message: OutgoingMessage, units: number): OutgoingMessage {
  const { properties } = message;
  const { kind, name } = targetOf(message);
  const priorities = classOf(properties.priority);
  const levelCount = levelCountOf(units);
  const headers: Record<string, unknown> = {
    ...properties.headers,
    [kind === 'queue' ? QUEUE_HEADER : EXCHANGE_HEADER]: name,
  };
  // The other header, if the sender has set it, would lead the message to two places.
  delete headers[kind === 'queue' ? EXCHANGE_HEADER : QUEUE_HEADER];
  for (const [at, level] of LEVELS.slice(0, levelCount).entries()) {
    const digit = digitAt(units, at);
    headers[headerOf(level)] = digit === 0 ? 0 : delayQueueValue(digit, priorities);
  }
  return {
    ...message,
    exchange: exchangeOf(LEVELS[levelCount - 1] as Level),
    mandatory: true,
    properties: { ...properties, headers },
  };
}

/**
 * The exchange and the routing key that the sender of a delivered message used, whether the message came directly, through the
 * delays, or as a copy for another attempt.
 */
export function sentTo({
  exchange,
  routingKey,
  properties,
}: Pick<Delivery, 'exchange' | 'routingKey' | 'properties'>): {
  readonly exchange: string;
  readonly routingKey: string;
} {
  const isDelayed = isDelayName(exchange);
  if (exchange !== '' && !isDelayed) return { exchange, routingKey };
  const headers = headersOf(properties);
  const text = (name: string) => {
    const value = headerIn(headers, name);
    return typeof value === 'string' ? value : undefined;
  };
  return {
    exchange:
      text(ORIGIN_HEADERS.exchange) ??
      (isDelayed ? (text(EXCHANGE_HEADER) ?? text(FORMER_EXCHANGE_HEADER)) : undefined) ??
      '',
    routingKey: text(ORIGIN_HEADERS.routingKey) ?? routingKey,
  };
}
