import { deadLetterTopologyOf, hasOwnDeadLetterQueue } from '../contracts/topology.js';
import type { QueueContract } from '../contracts/types.js';
import { declarerOf } from '../declarations/declarer.js';
import { TimeoutError } from '../errors.js';
import type { Connection } from '../transport/connection/connection.js';
import { classify } from '../transport/failures.js';
import { type Channel, type Delivery, type Link, TransportError } from '../transport/port.js';
import { type Clock, raceAbort, sleep, withDeadline } from '../util/clock.js';
import { onAbort } from '../util/on-abort.js';

/** The settings of a scan of a dead-letter queue. */
export interface QueueScanSettings {
  readonly contract: QueueContract;
  /** The consuming connection, which no alarm can stop. */
  readonly connection: Connection;
  readonly clock: Clock;
  /** Stops the scan. */
  readonly signal: AbortSignal;
  /** How many dead letters may be prefetched. */
  readonly prefetch: number;
}

/** How long to wait for a connection, and for a dead letter that the server has but does not deliver. */
const TIMEOUT_MS = 30_000;

/** How long to wait for a delivery before asking the server again whether there is one. */
const PROBE_MS = 20;

/** How long dead letters are kept out of the queue: after 30 minutes the server requeues them and closes the channel. */
const MAX_KEPT_MS = 10 * 60_000;

/**
 * How many dead letters are requeued at once. A quorum queue of 3.x puts the messages of one command back in the order of an
 * Erlang map, which is the right order for up to 32 keys.
 */
const RETURNED_AT_ONCE = 32;

/** How often, and for how long, to check whether requeued dead letters are in the queue again. */
const LOOKS_AFTER = 100;
const RETURN_TIMEOUT_MS = 1_000;

/**
 * One scan of a dead-letter queue: each dead letter that was there at the start, once. Those that are not removed are
 * requeued at the end, in their old order; if this process dies, the server requeues them.
 *
 * The scan consumes, because `basic.get` on a quorum queue costs a round trip through the whole cluster per message. A dead
 * letter that stays uses up a place of the prefetch until the end; when few places are left, the next consumer on the channel
 * brings new ones.
 */
export class QueueScan {
  /** How many dead letters were there at the start. */
  readonly total: number;
  readonly #settings: QueueScanSettings;
  readonly #link: Link;
  readonly #queue: string;
  readonly #consumers: ScanConsumer[] = [];
  #channel!: Channel;
  #error: TransportError | undefined;
  #wake: () => void = () => {};
  #seen = 0;
  /** Dead letters that `next` has returned and that are not settled, by their tags. */
  readonly #inHand = new Set<number>();
  /**
   * How many dead letters are still to be skipped: they were scanned before, then requeued in between, and are delivered
   * again.
   */
  #toSkip = 0;
  #removed = 0;
  #keptSince: number | undefined;

  private constructor(settings: QueueScanSettings, link: Link, queue: string, total: number) {
    this.#settings = settings;
    this.#link = link;
    this.#queue = queue;
    this.total = total;
  }

  /** Begins a scan. Rejects with a `TransportError`, or with an error of the connection or the signal. */
  static async open(settings: QueueScanSettings): Promise<QueueScan> {
    const { contract, connection, clock, signal } = settings;
    const queue = contract.deadLetter ?? '';
    const late = () => new TimeoutError(`'${queue}': there was no connection within ${TIMEOUT_MS} ms`);
    const link = await raceAbort(withDeadline(clock, connection.link(), TIMEOUT_MS, late), signal);
    const scan = new QueueScan(settings, link, queue, await countDeadLetters(link, contract, queue));
    scan.#channel = await link.openChannel({ confirms: false, onClosed: (error) => scan.#ended(error) });
    return scan;
  }

  /**
   * True when dead letters have been kept here for so long that they should be requeued in between: settle the current ones,
   * then continue.
   */
  get needsRest(): boolean {
    return this.#keptSince !== undefined && this.#settings.clock.now() - this.#keptSince > MAX_KEPT_MS;
  }

  /**
   * The next dead letter; undefined after the last. Each one should be settled by `keep` or `remove`; otherwise it stays,
   * too.
   */
  async next(): Promise<Delivery | undefined> {
    const { clock, signal } = this.#settings;
    const giveUpAt = clock.now() + TIMEOUT_MS;
    while (this.#seen < this.total) {
      signal.throwIfAborted();
      if (this.#error) throw this.#error;
      const consumer = await this.#fresh();
      const delivery = consumer.waiting.shift();
      if (delivery && this.#toSkip > 0) {
        this.#toSkip--;
        this.keep(delivery);
      } else if (delivery) {
        this.#seen++;
        this.#inHand.add(delivery.deliveryTag);
        return delivery;
      } else if (!(await this.#isMore(consumer))) {
        return undefined;
      } else if (clock.now() > giveUpAt) {
        throw new TimeoutError(`'${this.#queue}': the server has dead letters but does not deliver them`);
      }
    }
    return undefined;
  }

  /** The dead letter stays in the queue. */
  keep({ deliveryTag }: Delivery): void {
    this.#inHand.delete(deliveryTag);
    const consumer = this.#consumerOf(deliveryTag);
    if (consumer) consumer.kept++;
    this.#keptSince ??= this.#settings.clock.now();
  }

  /** Removes the dead letter. Throws a `TransportError` when the server can no longer be told. */
  remove({ deliveryTag }: Delivery): void {
    if (this.#error) throw this.#error;
    this.#channel.ack(deliveryTag, false);
    this.#removed++;
    this.#inHand.delete(deliveryTag);
    this.#consumerOf(deliveryTag)?.unsettled.delete(deliveryTag);
  }

  /** Requeues the remaining dead letters. Resolves when the server has done so. Never rejects. */
  async close(): Promise<void> {
    try {
      await this.#stop();
      await this.#giveBack();
      await this.#channel.close();
      await this.#returned();
    } catch {
      // If the channel is gone, the server requeues everything by itself.
      await this.#channel.close();
    }
  }

  /** A consumer with room for more dead letters. */
  async #fresh(): Promise<ScanConsumer> {
    const { prefetch } = this.#settings;
    const last = this.#consumers.at(-1);
    if (last && last.waiting.length > 0) return last;
    const isOver = this.needsRest && this.#inHand.size === 0;
    if (isOver) await this.#putDown();
    else if (last?.tag !== undefined && last.kept * 2 < prefetch) return last;
    else await this.#stop();
    // What arrived before the consumer was stopped comes first.
    if (last && !isOver && last.waiting.length > 0) return last;
    const consumer = new ScanConsumer();
    this.#consumers.push(consumer);
    await this.#channel.setPrefetch(prefetch);
    consumer.tag = await this.#channel.consume(
      this.#queue,
      { noAck: false, exclusive: false, arguments: {} },
      (delivery) => {
        if (!delivery) return this.#ended(new TransportError('the server cancelled the consumer'));
        consumer.unsettled.add(delivery.deliveryTag);
        consumer.waiting.push(delivery);
        this.#wake();
      },
    );
    return consumer;
  }

  /** Checks whether another dead letter can come, and waits for it briefly. */
  async #isMore(consumer: ScanConsumer): Promise<boolean> {
    const { clock, signal } = this.#settings;
    // The server's answer comes after everything that it delivered before.
    const { messages } = await this.#channel.checkQueue(this.#queue);
    if (consumer.waiting.length > 0) return true;
    if (messages === 0) {
      await this.#stop();
      return consumer.waiting.length > 0;
    }
    const arrival = new AbortController();
    this.#wake = () => arrival.abort();
    const unsubscribe = onAbort(signal, this.#wake);
    await sleep(clock, PROBE_MS, arrival.signal);
    unsubscribe();
    return true;
  }

  /** Requeues kept messages briefly, so that they do not hit the consumer timeout. */
  async #putDown(): Promise<void> {
    await this.#stop();
    const kept = this.#consumers.reduce((sum, consumer) => sum + consumer.kept, 0);
    await this.#giveBack();
    this.#toSkip += kept;
  }

  #consumerOf(tag: number): ScanConsumer | undefined {
    return this.#consumers.findLast(({ unsettled }) => unsettled.has(tag));
  }

  async #stop(): Promise<void> {
    const last = this.#consumers.at(-1);
    if (last?.tag === undefined) return;
    const { tag } = last;
    last.tag = undefined;
    await this.#channel.cancel(tag);
  }

  async #giveBack(): Promise<void> {
    this.#keptSince = undefined;
    let isAlone = true;
    for (const { unsettled } of this.#consumers.splice(0)) {
      const tags = [...unsettled];
      for (let at = 0; at < tags.length; at += RETURNED_AT_ONCE)
        isAlone = await this.#nack(tags.slice(at, at + RETURNED_AT_ONCE), isAlone);
    }
  }

  /**
   * Requeues dead letters, and resolves when they are in the queue again, so that the next reader sees them. Resolves with
   * false if another reader seems to take them at once: waiting for the next ones is then pointless.
   */
  async #nack(tags: readonly number[], isAlone: boolean): Promise<boolean> {
    const { messages: before } = await this.#channel.checkQueue(this.#queue);
    this.#channel.nack(tags.at(-1) ?? 0, { multiple: true, requeue: true });
    // A quorum queue answers the next request before it has taken them back.
    for (let look = 0; isAlone && look < LOOKS_AFTER; look++) {
      const { messages } = await this.#channel.checkQueue(this.#queue);
      if (messages >= before + tags.length) return true;
    }
    return false;
  }

  /**
   * Waits for dead letters that a quorum queue delivered while the consumer was being cancelled (seen on 3.10): they never
   * arrive, and are requeued a moment after the channel is closed. Does not wait if another reader takes dead letters
   * meanwhile.
   */
  async #returned(): Promise<void> {
    const { clock } = this.#settings;
    const giveUpAt = clock.now() + RETURN_TIMEOUT_MS;
    for (let look = 0; look < LOOKS_AFTER && clock.now() < giveUpAt; look++) {
      const { messages } = await declarerOf(this.#link).run((channel) => channel.checkQueue(this.#queue));
      if (messages >= this.total - this.#removed) return;
    }
  }

  #ended(error: TransportError): void {
    this.#error ??= error;
    this.#wake();
  }
}

/** One consumer of a scan. */
class ScanConsumer {
  /** Undefined once the consumer is cancelled: its dead letters can still be settled. */
  tag: string | undefined;
  /** Dead letters that were delivered and not returned by `next` yet. */
  readonly waiting: Delivery[] = [];
  /** The tags of every unsettled dead letter, in order. */
  readonly unsettled = new Set<number>();
  kept = 0;
}

/** Counts the dead letters. A missing dead-letter queue is declared if the contract allows it. */
async function countDeadLetters(link: Link, contract: QueueContract, queue: string): Promise<number> {
  const declarer = declarerOf(link);
  const count = () => declarer.run((channel) => channel.checkQueue(queue));
  try {
    return (await count()).messages;
  } catch (error) {
    if (classify(error) !== 'missing' || contract.declare !== true) throw error;
    // The queue was given by name: its owner may not have started yet.
    if (!contract.deadLetterContract && !hasOwnDeadLetterQueue(contract)) return 0;
    await declarer.declareAll(deadLetterTopologyOf(contract), { again: true });
    return (await count()).messages;
  }
}
