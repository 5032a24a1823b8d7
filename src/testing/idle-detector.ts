import type { BrokerHealth } from '../broker/health.js';
import type { TableRelay } from '../outbox/table-relay.js';
import type { MemoryServer } from '../transport/memory/server.js';
import { nextTurn, realTimers } from '../util/timers.js';

/** This many turns of the event loop without any work count as its end: promises and flushes come in between. */
const QUIET_TURNS = 4;

/** How long `calm` waits at most while messages lead to others, in real milliseconds. */
const CALM_MS = 5_000;

/** How long `calm` waits for handlers that do real I/O, in real milliseconds. */
const GRACE_MS = 50;

/** Detects when a broker and its server have nothing left to do at the current time. */
export class IdleDetector {
  readonly #server: MemoryServer;
  readonly #broker: { health(): BrokerHealth };
  /** Handlers that did not finish within the grace period: they are not awaited again. */
  #stuck = 0;

  constructor(server: MemoryServer, broker: { health(): BrokerHealth }) {
    this.#server = server;
    this.#broker = broker;
  }

  /** One turn of the event loop. */
  turn(): Promise<void> {
    return nextTurn();
  }

  /**
   * Lets everything happen that needs no more than a few turns, or a moment of real time.
   *
   * Resolves with false if the work continued after `limitMs`, in real milliseconds.
   */
  async calm(limitMs = CALM_MS): Promise<boolean> {
    const deadline = realTimers.now() + limitMs;
    let waitingSince: number | undefined;
    for (let quiet = 0; quiet < QUIET_TURNS && realTimers.now() < deadline; ) {
      await this.turn();
      const running = this.#handlers();
      this.#stuck = Math.min(this.#stuck, running);
      if (this.#isBusy()) {
        quiet = 0;
      } else if (running > this.#stuck) {
        quiet = 0;
        waitingSince ??= realTimers.now();
        if (realTimers.now() - waitingSince > GRACE_MS) this.#stuck = running;
        else await moment();
      } else {
        waitingSince = undefined;
        quiet++;
      }
    }
    return realTimers.now() < deadline;
  }

  /** Waits for handlers and sends, too. Resolves with a description of what is still running when that takes too long. */
  async settled(timeoutMs: number, relays: ReadonlySet<TableRelay>): Promise<string | undefined> {
    const deadline = realTimers.now() + timeoutMs;
    while (true) {
      await this.calm(Math.max(0, deadline - realTimers.now()));
      // A handler may have committed a row, and so may each one that follows.
      if (await this.#haveSent(relays, deadline)) continue;
      const running = this.#running();
      if (realTimers.now() > deadline) return running ?? this.#going();
      if (running === undefined) return undefined;
      await moment();
    }
  }

  /** True when the relays had something to send: then its effects have to be awaited, too. */
  async #haveSent(relays: ReadonlySet<TableRelay>, deadline: number): Promise<boolean> {
    if (relays.size === 0 || realTimers.now() > deadline) return false;
    const late = new Promise<number>((resolve) => {
      realTimers.setTimeout(() => resolve(0), Math.max(0, deadline - realTimers.now())).unref();
    });
    const sent = await Promise.all([...relays].map((relay) => Promise.race([relay.caughtUp(), late])));
    return sent.some((count) => count > 0);
  }

  #isBusy(): boolean {
    for (const link of this.#server.links) if (link.isBusy) return true;
    return false;
  }

  #handlers(): number {
    return this.#broker.health().consumers.reduce((sum, { inFlight }) => sum + inFlight, 0);
  }

  /** Describes endless work, when nothing was running at the moment of looking. */
  #going(): string {
    const busy = this.#broker.health().consumers.filter(({ state }) => state === 'running');
    return `messages are still arriving for ${busy.map(({ queue }) => `the queue '${queue}'`).join(', ') || 'a queue'}`;
  }

  #running(): string | undefined {
    const { consumers, producers, connections } = this.#broker.health();
    const parts = consumers
      .filter(({ inFlight }) => inFlight > 0)
      .map(({ queue, inFlight }) => `${messages(inFlight)} still being handled from the queue '${queue}'`);
    // Sends that wait for a connection, or for the end of an alarm, wait for a later time.
    const canSend = connections.some(
      ({ role, status, blocked }) => role === 'publish' && status === 'open' && blocked === undefined,
    );
    for (const { target, pending } of producers)
      if (canSend && pending > 0) parts.push(`${messages(pending)} still being sent to ${target}`);
    return parts.length === 0 ? undefined : parts.join(', ');
  }
}

function moment(): Promise<void> {
  return new Promise((resolve) => realTimers.setTimeout(resolve, 1));
}

function messages(count: number): string {
  return count === 1 ? '1 message is' : `${count} messages are`;
}
