import type { Clock } from '../../util/clock.js';
import type { QueueDeclaration } from '../port.js';
import type { QueueConsumer } from './consumers.js';
import type { Entry, StoredMessage } from './message.js';
import type { Return } from './queue.js';
import { ServerRefusalError } from './server-refusal.js';
import type { Behaviour } from './version.js';

/** A part of the log: retention removes whole segments only. */
interface Segment {
  readonly entries: Entry[];
  bytes: number;
  lastAt: number;
}

/** RabbitMQ's own: https://www.rabbitmq.com/docs/streams#retention */
const DEFAULT_SEGMENT_BYTES = 500_000_000;

const AGE_UNITS_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  D: 86_400_000,
  M: 2_592_000_000,
  Y: 31_536_000_000,
};

/** A stream: a log that its consumers read, each at its own position, without removing anything. */
export class MemoryStream {
  readonly type = 'stream';
  readonly owner = undefined;
  readonly declaration: QueueDeclaration;
  readonly #clock: Clock;
  readonly #behaviour: Behaviour;
  readonly #maxBytes: number;
  readonly #maxAgeMs: number;
  readonly #segmentBytes: number;
  /** By consumer: the offset of its next message. */
  readonly #places = new Map<QueueConsumer, number>();
  #segments: Segment[] = [newSegment()];
  #arrivedAt = new Map<Entry, number>();
  #next = 0;
  #bytes = 0;

  constructor(
    declaration: QueueDeclaration,
    { clock, behaviour }: { readonly clock: Clock; readonly behaviour: Behaviour },
  ) {
    const { arguments: args } = declaration;
    this.declaration = declaration;
    this.#clock = clock;
    this.#behaviour = behaviour;
    this.#maxBytes = (args['x-max-length-bytes'] as number | undefined) ?? Number.POSITIVE_INFINITY;
    this.#maxAgeMs = ageMs(args['x-max-age']);
    this.#segmentBytes =
      (args['x-stream-max-segment-size-bytes'] as number | undefined) ?? DEFAULT_SEGMENT_BYTES;
  }

  get name(): string {
    return this.declaration.name;
  }

  /** The server reports no consumers for a stream. */
  readonly consumerCount = 0;

  /** The number of messages that the stream holds. */
  get readyCount(): number {
    return this.#arrivedAt.size;
  }

  readonly consumers = {
    remove: (consumer: QueueConsumer): boolean => this.#places.delete(consumer),
  };

  /** Refuses options that no stream supports, in RabbitMQ's words. */
  checkConsumer(
    { noAck, arguments: args }: Pick<QueueConsumer, 'noAck' | 'arguments'>,
    prefetch: number,
  ): void {
    const { name } = this;
    if (noAck)
      throw new ServerRefusalError(
        540,
        `automatic acknowledgement not supported by stream queue '${name}' in vhost '/'`,
      );
    if (args['x-priority'] !== undefined) {
      const what = `invalid arg 'x-priority' for queue '${name}' in vhost '/'`;
      throw new ServerRefusalError(406, `${what} of queue type rabbit_stream_queue`);
    }
    if (prefetch === 0)
      throw new ServerRefusalError(
        406,
        `consumer prefetch count is not set for stream queue '${name}' in vhost '/'`,
      );
    this.#placeOf(args['x-stream-offset'] ?? 'next');
  }

  enqueue(message: StoredMessage): boolean {
    const entry: Entry = {
      message,
      sequence: this.#next++,
      priority: undefined,
      sizeBytes: message.content.length,
      expiresAt: Number.POSITIVE_INFINITY,
      failed: 0,
      acquired: 0,
      wasDelivered: false,
    };
    let segment = this.#segments.at(-1) as Segment;
    if (segment.bytes >= this.#segmentBytes) {
      segment = newSegment();
      this.#segments.push(segment);
      this.#retain();
    }
    segment.entries.push(entry);
    segment.bytes += entry.sizeBytes;
    segment.lastAt = this.#clock.wallNow();
    this.#bytes += entry.sizeBytes;
    this.#arrivedAt.set(entry, segment.lastAt);
    this.dispatch();
    return true;
  }

  /** Delivers to each consumer as many messages as it has room for. */
  dispatch(): void {
    for (const [consumer, place] of [...this.#places]) {
      let at = place;
      while (at < this.#next && consumer.hasRoom()) {
        const entry = this.#atOrAfter(at);
        if (!entry) break;
        at = entry.sequence + 1;
        this.#places.set(consumer, at);
        consumer.deliver(entry);
      }
    }
  }

  addConsumer(consumer: QueueConsumer): void {
    this.#places.set(consumer, this.#placeOf(consumer.arguments['x-stream-offset'] ?? 'next'));
    this.dispatch();
  }

  removeConsumer(consumer: QueueConsumer): void {
    this.#places.delete(consumer);
  }

  /** An acknowledgement only makes room for the next message. */
  acknowledged(): void {}

  rejected(): void {
    this.#refuseReturn();
  }

  requeue(_delivered: unknown, how: Return): void {
    if (how !== 'lost') this.#refuseReturn();
  }

  purge(): never {
    throw new ServerRefusalError(
      540,
      `queue.purge not supported by stream queues queue '${this.name}' in vhost '/'`,
    );
  }

  /** Deletes the stream: its messages are gone, and its consumers are notified. */
  delete(): void {
    this.#segments = [newSegment()];
    this.#arrivedAt = new Map();
    this.cancelConsumers();
  }

  /** Cancels the stream's consumers, and notifies them. */
  cancelConsumers(): void {
    const consumers = [...this.#places.keys()];
    this.#places.clear();
    for (const consumer of consumers) consumer.cancelled();
  }

  used(): void {}

  setLeaving(): void {}

  consumerLeft(): void {}

  /** From 4.0 on, a requeue has the effect of an acknowledgement. */
  #refuseReturn(): void {
    if (this.#behaviour.version !== '3.13') return;
    const what = 'basic.nack and basic.reject not supported by stream queues';
    throw new ServerRefusalError(540, `${what} queue '${this.name}' in vhost '/'`);
  }

  #placeOf(offset: unknown): number {
    if (offset === 'first') return 0;
    if (offset === 'next') return this.#next;
    // A block is one message here.
    if (offset === 'last') return Math.max(0, this.#next - 1);
    if (typeof offset === 'number' && Number.isInteger(offset)) return offset;
    const { value } = (offset ?? {}) as { readonly value?: unknown };
    if (typeof value === 'number') {
      for (const [entry, at] of this.#arrivedAt) if (at >= value * 1_000) return entry.sequence;
      return this.#next;
    }
    const wrong = `{invalid_stream_offset_arg,{longstr,<<"${String(offset)}">>}}`;
    throw new ServerRefusalError(
      406,
      `invalid arg 'x-stream-offset' for queue '${this.name}' in vhost '/': ${wrong}`,
    );
  }

  #atOrAfter(offset: number): Entry | undefined {
    for (const { entries } of this.#segments) {
      const first = entries[0];
      if (!first || (entries.at(-1) as Entry).sequence < offset) continue;
      return entries[Math.max(0, offset - first.sequence)];
    }
    return undefined;
  }

  /** Retention runs when a segment is full; the newest segment always stays. */
  #retain(): void {
    const now = this.#clock.wallNow();
    while (this.#segments.length > 1) {
      const [oldest] = this.#segments as [Segment];
      if (this.#bytes <= this.#maxBytes && now - oldest.lastAt <= this.#maxAgeMs) return;
      this.#segments.shift();
      this.#bytes -= oldest.bytes;
      for (const entry of oldest.entries) this.#arrivedAt.delete(entry);
    }
  }
}

function newSegment(): Segment {
  return { entries: [], bytes: 0, lastAt: 0 };
}

function ageMs(age: unknown): number {
  const [, amount, unit = ''] = /^(\d+)([YMDhms])$/.exec(String(age)) ?? [];
  return amount === undefined ? Number.POSITIVE_INFINITY : Number(amount) * (AGE_UNITS_MS[unit] ?? 1);
}
