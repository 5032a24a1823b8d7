import type { QueueContract } from '../contracts/types.js';
import { declarerOf } from '../declarations/declarer.js';
import { headersOf } from '../messages/properties.js';
import { Backoff, channelBackoff } from '../transport/connection/backoff.js';
import type { Connection } from '../transport/connection/connection.js';
import { classify } from '../transport/failures.js';
import { type Delivery, type Link, TransportError } from '../transport/port.js';
import { type Clock, raceAbort, sleep, withDeadline } from '../util/clock.js';
import { delayDeclarerOf } from './delay-declarer.js';
import { Landing } from './landing.js';
import { LandingChannel } from './landing-channel.js';
import { type DelayTarget, heldOf, LANDED, QUEUE_HEADER } from './topology.js';

/** The most queues whose landings are served, with one or two consumers each. Those used the longest ago are left to the server. */
const MAX_TARGETS = 1_000;

/** How long to wait before asking again when no channel is left: asking too often can cost the connection. */
const NO_CHANNEL_MS = 60_000;

/** How long closing waits for messages in flight. */
const CLOSE_MS = 2_000;

export interface LandingsSettings {
  /** The publishing connection: an alarm that blocks it stops the forwarding, too. */
  readonly connection: Connection;
  readonly clock: Clock;
}

/** One channel, and the landings that are served over it. */
interface LandingSession {
  readonly link: Link;
  readonly channel: LandingChannel;
  readonly landings: Map<string, Landing>;
  readonly over: AbortController;
}

/**
 * Forwards delayed messages from the landing queues to their queues, over one channel, in every program that delays messages for them
 * or consumes from them. Where no such program runs, the server forwards them, and tries a refused message again after three minutes.
 */
export class Landings {
  readonly #settings: LandingsSettings;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  /** By name, the most recently used last. */
  readonly #targets = new Map<string, DelayTarget>();
  /** The names of the targets that have a holding queue. */
  readonly #held = new Set<string>();
  #session: LandingSession | undefined;
  #running: Promise<void> | undefined;

  constructor(settings: LandingsSettings) {
    this.#settings = settings;
    this.#backoff = new Backoff(channelBackoff, settings.clock.random);
  }

  /** Serves the landing of a queue from now on. That of an exchange, whose messages reach several queues, is left to the server. */
  serve(target: DelayTarget): void {
    const { kind, name } = target;
    if (kind === 'exchange' || this.#stopping.signal.aborted) return;
    const isNew = !this.#targets.delete(name);
    this.#targets.set(name, target);
    const [oldest] = this.#targets.keys();
    if (this.#targets.size > MAX_TARGETS && oldest !== undefined) this.forget(oldest);
    this.#running ??= this.#run();
    if (isNew && this.#session) void this.#start(this.#session, target);
  }

  /** A consumer begins: messages that are already held for its queue are forwarded. Only a bounded queue is looked up. */
  consumes({ name, exclusive, arguments: args }: QueueContract): void {
    const isBounded = args['x-max-length'] !== undefined || args['x-max-length-bytes'] !== undefined;
    if (isBounded && !exclusive && !this.#targets.has(name)) void this.#serveHeld({ kind: 'queue', name });
  }

  /** A message was delivered: one that was delayed shows that its queue has a landing. */
  delivered({ name }: QueueContract, { exchange, properties }: Delivery): void {
    if (exchange !== LANDED || this.#targets.has(name)) return;
    if (headersOf(properties)[QUEUE_HEADER] === name) void this.#serveHeld({ kind: 'queue', name });
  }

  /** Stops serving a queue, such as one that is about to be deleted. */
  forget(name: string): void {
    this.#targets.delete(name);
    this.#held.delete(name);
    void this.#session?.landings.get(name)?.stop();
    this.#session?.landings.delete(name);
  }

  /** Serves no further queue, and waits for the messages in flight. Bounded in time; never rejects. */
  async close(): Promise<void> {
    this.#stopping.abort();
    const session = this.#session;
    if (!session) return;
    const { clock } = this.#settings;
    const stopped = Promise.all([...session.landings.values()].map((landing) => landing.stop()));
    await withDeadline(clock, stopped, CLOSE_MS, () => new Error('too late')).catch(() => {});
    await session.channel.close();
  }

  /** Ends all waiting at once, and leaves the channel to the closing connection. */
  abort(): void {
    this.#stopping.abort();
    this.#session?.over.abort();
  }

  /** Does nothing: after an alarm, the server continues by itself. */
  flush(): void {}

  /** Serves a queue, and forwards the messages that are already held for it. Never rejects. */
  async #serveHeld(target: DelayTarget): Promise<void> {
    const { connection } = this.#settings;
    this.serve(target);
    try {
      let link: Link;
      do {
        link = await raceAbort(connection.link(), this.#stopping.signal);
      } while (!(await this.#isHeld(link, target)));
      await this.#session?.landings.get(target.name)?.openHeld();
    } catch {
      // There is no holding queue, or this user may not look it up.
    }
  }

  /** Finds the holding queue. Rejects when there is none, and resolves with false when the connection was lost meanwhile. */
  async #isHeld(link: Link, target: DelayTarget): Promise<boolean> {
    try {
      await declarerOf(link).run((channel) => channel.checkQueue(heldOf(target)));
      this.#held.add(target.name);
      return true;
    } catch (error) {
      if (link.isOpen) throw error;
      return false;
    }
  }

  async #run(): Promise<void> {
    const { connection, clock } = this.#settings;
    const { signal } = this.#stopping;
    while (!signal.aborted && this.#targets.size > 0) {
      let pauseMs: number;
      let link: Link | undefined;
      const openedAt = clock.now();
      try {
        link = await raceAbort(connection.link(), signal);
        await this.#work(link);
        pauseMs = link.isOpen ? this.#backoff.afterLoss(clock.now() - openedAt) : 0;
      } catch (error) {
        // The connection itself dials again, or has given up.
        if (!(error instanceof TransportError)) break;
        pauseMs =
          classify(error) === 'no-channel'
            ? NO_CHANNEL_MS
            : this.#backoff.afterFailure({ reachedServer: true });
      }
      if (signal.aborted) break;
      await sleep(clock, Math.max(1, pauseMs), signal);
    }
    this.#running = undefined;
  }

  /** Serves all landings over one channel, until the channel is gone. */
  async #work(link: Link): Promise<void> {
    const channel = await LandingChannel.open(link, this.#settings.clock);
    const session: LandingSession = { link, channel, landings: new Map(), over: new AbortController() };
    if (this.#stopping.signal.aborted) return channel.close();
    this.#session = session;
    for (const target of [...this.#targets.values()]) await this.#start(session, target);
    await channel.closed;
    session.over.abort();
    this.#session = undefined;
  }

  async #start(session: LandingSession, target: DelayTarget): Promise<void> {
    const { link, channel, landings, over } = session;
    const { name } = target;
    if (!channel.isOpen || landings.has(name)) return;
    const landing = new Landing({
      target,
      channel,
      clock: this.#settings.clock,
      signal: over.signal,
      isEmpty: async () => {
        try {
          return (await declarerOf(link).run((it) => it.checkQueue(name))).messages === 0;
        } catch {
          return false;
        }
      },
      declareHeld: async () => {
        await delayDeclarerOf(link).prepareToHold(target);
        this.#held.add(name);
      },
    });
    landings.set(name, landing);
    try {
      await landing.start();
      if (this.#held.has(name)) await landing.openHeld();
    } catch (error) {
      landings.delete(name);
      // The landing queue was deleted, or this user may not consume from it: the server forwards what lands there.
      if (classify(error) !== 'lost') this.#targets.delete(name);
    }
  }
}
