import type { VerdictTrace } from '../../diagnostics/consume.js';
import type { Clock, Timer } from '../../util/clock.js';
import { realTimers } from '../../util/timers.js';

/** The time that an acknowledgement may wait for others. */
export interface AckDelay {
  readonly clock: Clock;
  readonly ms: number;
}

type ScheduleState =
  | { readonly status: 'idle' }
  | { readonly status: 'delayed'; readonly timer: Timer }
  | { readonly status: 'this-turn' }
  | { readonly status: 'stopped' };

// Shared, so that no acknowledgement allocates a state.
const IDLE: ScheduleState = { status: 'idle' };
const THIS_TURN: ScheduleState = { status: 'this-turn' };
const STOPPED: ScheduleState = { status: 'stopped' };

/**
 * Writes gathered acknowledgements at the end of this turn of the event loop, or after a delay.
 *
 * | state     | request, which may wait | request    | flush        | stop    |
 * |-----------|-------------------------|------------|--------------|---------|
 * | idle      | delayed                 | this turn  | writes       | stopped |
 * | delayed   |                         | this turn  | writes, idle | stopped |
 * | this turn |                         |            | writes, idle | stopped |
 * | stopped   |                         |            |              |         |
 *
 * An empty cell changes nothing. Without a delay no request may wait.
 */
export class AckSchedule {
  readonly #delay: AckDelay | undefined;
  readonly #write: () => boolean;
  #state = IDLE;
  /** The traces of gathered acknowledgements. */
  #unwritten: VerdictTrace[] = [];

  /** @param write - writes the gathered acknowledgements; returns false, after a {@link stop}, when the channel is gone */
  constructor(delay: AckDelay | undefined, write: () => boolean) {
    this.#delay = delay && delay.ms > 0 ? delay : undefined;
    this.#write = write;
  }

  /** An acknowledgement was gathered. */
  request(mayWait: boolean): void {
    const { status } = this.#state;
    if (status === 'this-turn' || status === 'stopped') return;
    if (mayWait && this.#delay) {
      if (status === 'idle') this.#state = { status: 'delayed', timer: this.#startTimer(this.#delay) };
      return;
    }
    this.#become(THIS_TURN);
    realTimers.setImmediate(() => this.flush());
  }

  /** Writes the gathered acknowledgements. */
  flush(): void {
    if (this.#state.status === 'stopped') return;
    this.#become(IDLE);
    if (this.#write()) this.#settleTraces(true);
  }

  /** Writes acknowledgements that would wait longer than this turn of the event loop. */
  flushDelayed(): void {
    if (this.#state.status === 'delayed') this.flush();
  }

  /** From now on writes nothing. */
  stop(): void {
    this.#become(STOPPED);
    this.#settleTraces(false);
  }

  /** Ends the trace with whether its acknowledgement was written. */
  trace(trace: VerdictTrace): void {
    this.#unwritten.push(trace);
  }

  #startTimer({ clock, ms }: AckDelay): Timer {
    return clock.setTimeout(() => this.flush(), ms);
  }

  #become(state: ScheduleState): void {
    if (this.#state.status === 'delayed') this.#delay?.clock.clearTimeout(this.#state.timer);
    this.#state = state;
  }

  #settleTraces(isWritten: boolean): void {
    if (this.#unwritten.length === 0) return;
    for (const trace of this.#unwritten.splice(0)) trace.succeed(isWritten);
  }
}
