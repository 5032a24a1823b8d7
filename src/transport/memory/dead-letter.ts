import {
  type Counts,
  copyTable,
  type Death,
  type DeathReason,
  type Entry,
  keysIn,
  type StoredMessage,
  type Table,
} from './message.js';
import type { Behaviour } from './version.js';

export interface DeathNotice {
  readonly entry: Entry;
  readonly reason: DeathReason;
  readonly queue: string;
  readonly queueType: string;
  readonly targetExchange: string;
  /** Undefined: the original one. */
  readonly targetRoutingKey: string | undefined;
  readonly timeSeconds: number;
}

/**
 * The message as it is published to the dead-letter exchange: with headers that tell its deaths, and without its expiration.
 */
export function deadLetterOf(notice: DeathNotice, behaviour: Behaviour): StoredMessage {
  const { entry, targetExchange, targetRoutingKey } = notice;
  const { message } = entry;
  const deaths = addDeath(notice, behaviour.ownDeaths ? message.deaths : deathsIn(message.headers));
  const headers = deathHeaders(message, deaths, behaviour);
  // With a routing key of its own, the CC keys have no effect any more. 3.x also removes them from the message.
  if (targetRoutingKey !== undefined && !behaviour.ownDeaths) delete headers.CC;
  return {
    exchange: targetExchange,
    routingKey: targetRoutingKey ?? message.routingKey,
    routingKeys: targetRoutingKey === undefined ? message.routingKeys : [targetRoutingKey],
    properties: { ...message.properties, expiration: undefined },
    headers,
    content: message.content,
    deaths,
    counts: countsOf(notice, behaviour),
  };
}

/** True when a dead letter would return to a queue again and again without a rejection. */
export function isCycle(queue: string, reason: DeathReason, { deaths }: StoredMessage): boolean {
  if (reason === 'rejected') return false;
  const last = deaths.findIndex((death) => death.queue === queue);
  return last >= 0 && deaths.slice(0, last + 1).every((death) => death.reason !== 'rejected');
}

function addDeath(
  { entry, reason, queue, timeSeconds }: DeathNotice,
  deaths: readonly Death[],
): readonly Death[] {
  const before = deaths.find((death) => death.queue === queue && death.reason === reason);
  const { exchange, routingKey, headers, properties } = entry.message;
  const death: Death = before
    ? { ...before, count: before.count + 1 }
    : {
        count: 1,
        reason,
        queue,
        timeSeconds,
        exchange,
        // BCC is secret here, too.
        routingKeys: [routingKey, ...keysIn(headers.CC)],
        originalExpiration: properties.expiration,
      };
  return [death, ...deaths.filter((it) => it !== before)];
}

/** @param deaths - with the one that happens now, the last one first */
function deathHeaders(message: StoredMessage, deaths: readonly Death[], { ownDeaths }: Behaviour): Table {
  const copy = copyTable(message.headers);
  copy['x-death'] = deaths.map(toTable);
  const first = deaths.at(-1) as Death;
  // Where deaths are kept beside the message, its first one overwrites what a client has put there.
  if ((ownDeaths && message.deaths.length === 0) || copy['x-first-death-queue'] === undefined) {
    copy['x-first-death-exchange'] = first.exchange;
    copy['x-first-death-queue'] = first.queue;
    copy['x-first-death-reason'] = first.reason;
  }
  const last = deaths[0] as Death;
  if (ownDeaths) {
    // The exchange of this time; a row keeps that of its first time.
    copy['x-last-death-exchange'] = message.exchange;
    copy['x-last-death-queue'] = last.queue;
    copy['x-last-death-reason'] = last.reason;
  }
  return copy;
}

function toTable({
  count,
  reason,
  queue,
  timeSeconds,
  exchange,
  routingKeys,
  originalExpiration,
}: Death): Table {
  return {
    ...(originalExpiration === undefined ? undefined : { 'original-expiration': originalExpiration }),
    count,
    reason,
    queue,
    time: { '!': 'timestamp', value: timeSeconds },
    exchange,
    'routing-keys': [...routingKeys],
  };
}

/** The deaths that 3.x reads out of the header, even if a client wrote it. */
function deathsIn(headers: Readonly<Table>): readonly Death[] {
  const rows = headers['x-death'];
  if (!Array.isArray(rows)) return [];
  return rows
    .filter((row): row is Table => typeof row === 'object' && row !== null)
    .map((row) => ({
      count: typeof row.count === 'number' ? row.count : 1,
      reason: row.reason as DeathReason,
      queue: String(row.queue),
      timeSeconds: Number((row.time as { value?: number } | undefined)?.value ?? 0),
      exchange: String(row.exchange),
      routingKeys: Array.isArray(row['routing-keys']) ? row['routing-keys'].map(String) : [],
      originalExpiration:
        typeof row['original-expiration'] === 'string' ? row['original-expiration'] : undefined,
    }));
}

/** Quorum queues write their counts into the message; 4.3 counts failures in every queue, and continues from there. */
function countsOf(
  { entry, queueType }: DeathNotice,
  { acquiredCount, ownDeaths }: Behaviour,
): Counts | undefined {
  if (!ownDeaths || !entry.wasDelivered) return undefined;
  if (!acquiredCount)
    return queueType === 'quorum' ? { failed: 1, acquired: 0, wasDelivered: true } : undefined;
  // Requeues and refusals without a failure are forgotten.
  const { failed } = entry;
  return failed > 0 ? { failed, acquired: failed, wasDelivered: true } : undefined;
}
