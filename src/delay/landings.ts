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

/** The most queues whose landings are served: each is a consumer or two. The server serves those that were used the longest ago. */
const MAX_TARGETS = 1_000;

/** After this long without a channel to spare, it is asked for again: asking too often can cost the connection. */
const NO_CHANNEL_MS = 60_000;

/** How long a message may be under way when the broker closes. */
const CLOSE_MS = 2_000;

export interface LandingsSettings {
  /** The one that publishes: an alarm that blocks it stops what would be sent on, too. */
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
 * Takes delayed messages of queues on, from where they land, in every program that delays messages for them or consumes from them.
 * All over one channel. Where no such program runs, the server does it: it sends a message that is refused again after three minutes.
 */
export class Landings {
  readonly #settings: LandingsSettings;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  /** By name, those that were used last at the end. */
  readonly #targets = new Map<string, DelayTarget>();
  /** The names of those that have a place where messages are held. */
  readonly #held = new Set<string>();
  #session: LandingSession | undefined;
  #running: Promise<void> | undefined;

  constructor(settings: LandingsSettings) {
    this.#settings = settings;
    this.#backoff = new Backoff(channelBackoff, settings.clock.random);
  }

  /** From now on the messages that land for a queue are taken on. Those of an exchange reach several queues: the server keeps count. */
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

  /** A consumer begins: what is held for its queue, from before, goes on. Only a queue that can be full is asked for. */
  consumes({ name, exclusive, arguments: args }: QueueContract): void {
    const isBounded = args['x-max-length'] !== undefined || args['x-max-length-bytes'] !== undefined;
    if (isBounded && !exclusive && !this.#targets.has(name)) void this.#serveHeld({ kind: 'queue', name });
  }

  /** A message was delivered: one that was delayed shows that its queue has a landing. */
  delivered({ name }: QueueContract, { exchange, properties }: Delivery): void {
    if (exchange !== LANDED || this.#targets.has(name)) return;
    if (headersOf(properties)[QUEUE_HEADER] === name) void this.#serveHeld({ kind: 'queue', name });
  }

  /** The queue is about to be deleted. */
  forget(name: string): void {
    this.#targets.delete(name);
    this.#held.delete(name);
    void this.#session?.landings.get(name)?.stop();
    this.#session?.landings.delete(name);
  }

  /** Takes nothing more, and waits for what is under way. Never rejects. */
  async close(): Promise<void> {
    this.#stopping.abort();
    const session = this.#session;
    if (!session) return;
    const { clock } = this.#settings;
    const stopped = Promise.all([...session.landings.values()].map((landing) => landing.stop()));
    await withDeadline(clock, stopped, CLOSE_MS, () => new Error('too late')).catch(() => {});
    await session.channel.close();
  }

  /** Leaves its channel to the closing connection. */
  abort(): void {
    this.#stopping.abort();
    this.#session?.over.abort();
  }

  /** Nothing waits here for the end of an alarm that the server does not send on by itself. */
  flush(): void {}

  /** Begins with what is held, if anything is. Never rejects. */
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
      // Nothing is held, or this user may not look.
    }
  }

  /** Looks for what is held. Resolves with false when the connection was lost meanwhile. */
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

  /** Serves all landings over one channel, until that is gone. */
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
      // Deleted, or not for this user: the server takes on what lands there, if anything does.
      if (classify(error) !== 'lost') this.#targets.delete(name);
    }
  }
}
