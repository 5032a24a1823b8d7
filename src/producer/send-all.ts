import type { InputOf } from '../contracts/body/schema.js';
import type { Contract } from '../contracts/types.js';
import { ClosedError, ConfigurationError } from '../errors.js';
import {
  type Check,
  checkOptions,
  either,
  expectFunction,
  expectRecord,
  expectSignal,
  show,
} from '../util/checks.js';
import { Condition } from '../util/condition.js';
import { isThenable } from '../util/promises.js';
import { nextTurn } from '../util/timers.js';
import { untilAborted } from '../util/until-aborted.js';
import type { Receipt } from './publisher/pending-send.js';
import type { AnySendOptions, SendArguments } from './send-options.js';

/** The progress of a `sendAll`. */
export interface SendAllProgress {
  /** Sends that are confirmed so far. */
  readonly sent: number;
  /** Sends that have failed so far. */
  readonly failed: number;
  /** The total number, if the iterable knows it: an array or a set. */
  readonly total: number | undefined;
}

/** The options of a `sendAll`. */
export interface SendAllOptions<Body, Each> {
  /** Called now and then, at most ten times a second, and once at the end. */
  readonly onProgress?: ((progress: SendAllProgress) => void) | undefined;
  /** Stops reading the iterable, and abandons the sends that still wait. */
  readonly signal?: AbortSignal | undefined;
  /** The options of each send: an object for all, or a function of the body. */
  readonly each?: (Each | ((body: Body, index: number) => Each)) | undefined;
}

/** The arguments of `sendAll` after the bodies: `each` is required where `send` requires options. */
export type SendAllArguments<C extends Contract> =
  SendArguments<C> extends [options: infer Each]
    ? [
        options: SendAllOptions<InputOf<C['schema']>, Each> & {
          /** The options of each send: an object for all, or a function of the body. */
          readonly each: Each | ((body: InputOf<C['schema']>, index: number) => Each);
        },
      ]
    : [options?: SendAllOptions<InputOf<C['schema']>, NonNullable<SendArguments<C>[0]>>];

/** The result of a `sendAll`. */
export interface SendAllResult<Body> {
  /** How many sends were confirmed. */
  readonly sent: number;
  /** The sends that failed, in order of failure. */
  readonly failed: readonly { readonly index: number; readonly body: Body; readonly error: unknown }[];
}

const sendAllChecks: Readonly<Record<string, Check>> = {
  onProgress: expectFunction,
  signal: expectSignal,
  each: either(expectRecord, expectFunction),
};

const PROGRESS_INTERVAL_MS = 100;

/** After this many bodies, the rest of the program gets a turn. */
const TURN_EVERY = 1_000;

/** Sends the items of the iterable, with a bounded number of sends in flight. */
export async function sendAll<Body>(
  bodies: Iterable<Body> | AsyncIterable<Body>,
  send: Send<Body>,
  maxUnderWay: number,
  options: SendAllOptions<Body, AnySendOptions> = {},
): Promise<SendAllResult<Body>> {
  checkOptions('sendAll', options, sendAllChecks);
  if (!isIterable(bodies)) {
    throw new ConfigurationError(
      'bodies',
      `sendAll: expected an iterable or an async iterable of bodies, got ${show(bodies)}`,
    );
  }
  return new SendAllRun(send, maxUnderWay, totalOf(bodies), options).run(bodies);
}

type Send<Body> = (body: Body, options: AnySendOptions | undefined) => Promise<Receipt>;

interface FailedSend<Body> {
  readonly index: number;
  readonly body: Body;
  readonly error: unknown;
}

/** The one body of a promise. */
async function* only<Body>(body: PromiseLike<Body>): AsyncGenerator<Body> {
  yield await body;
}

/** One call of `sendAll`. */
class SendAllRun<Body> {
  readonly #send: Send<Body>;
  readonly #maxUnderWay: number;
  readonly #total: number | undefined;
  readonly #options: SendAllOptions<Body, AnySendOptions>;
  readonly #failed: FailedSend<Body>[] = [];
  readonly #room = new Condition();
  #begun = 0;
  #underWay = 0;
  #sent = 0;
  /** The producer was closed. */
  #isClosed = false;
  #reportedAt = performance.now();
  /** The promise of the last call of `onProgress`, if that is an async function. */
  #telling: PromiseLike<unknown> | undefined;
  #callbackError: { readonly error: unknown } | undefined;

  constructor(
    send: Send<Body>,
    maxUnderWay: number,
    total: number | undefined,
    options: SendAllOptions<Body, AnySendOptions>,
  ) {
    this.#send = send;
    this.#maxUnderWay = maxUnderWay;
    this.#total = total;
    this.#options = options;
  }

  async run(bodies: Iterable<Body> | AsyncIterable<Body>): Promise<SendAllResult<Body>> {
    try {
      if (isAsync(bodies)) await this.#takeAsync(bodies);
      else await this.#take(bodies);
    } finally {
      await this.#underWayAtMost(0);
    }
    this.#report(true);
    // A slow `onProgress` is not awaited any longer: it may never settle.
    if (this.#telling) await Promise.race([this.#telling, nextTurn()]);
    if (this.#callbackError) throw this.#callbackError.error;
    return { sent: this.#sent, failed: this.#failed };
  }

  async #takeAsync(bodies: AsyncIterable<Body>): Promise<void> {
    const { signal } = this.#options;
    for await (const body of signal ? untilAborted(bodies, signal) : bodies) {
      this.#begin(body);
      await this.#untilNext();
      if (this.#isOver()) return;
    }
  }

  async #take(bodies: Iterable<Body>): Promise<void> {
    if (this.#isOver()) return;
    for (const body of bodies) {
      // An element that is a promise is awaited, as `for await` does.
      if (isThenable(body)) {
        await this.#takeAsync(only(body as PromiseLike<Body>));
        if (this.#isOver()) return;
        continue;
      }
      this.#begin(body);
      const next = this.#untilNext();
      if (next) await next;
      if (this.#isOver()) return;
    }
  }

  #begin(body: Body): void {
    const { signal, each } = this.#options;
    const index = this.#begun++;
    this.#underWay++;
    try {
      const own = typeof each === 'function' ? each(body, index) : each;
      this.#send(body, signal ? { ...own, signal: own?.signal ?? signal } : own).then(
        this.#sendSucceeded,
        (error: unknown) => this.#sendFailed(body, index, error),
      );
    } catch (error) {
      this.#sendFailed(body, index, error);
    }
  }

  readonly #sendSucceeded = () => {
    this.#sent++;
    this.#ended();
  };

  #sendFailed(body: Body, index: number, error: unknown): void {
    this.#failed.push({ index, body, error });
    if (error instanceof ClosedError) this.#isClosed = true;
    this.#ended();
  }

  #ended(): void {
    this.#underWay--;
    this.#room.notify();
    this.#report(false);
  }

  /** Waits until the next send may begin. Returns a promise only when there is something to wait for. */
  #untilNext(): Promise<void> | undefined {
    const limit = this.#maxUnderWay - 1;
    // Sends that fail at once give the event loop no turn: the program could not abort, and nothing could be confirmed.
    if (this.#begun % TURN_EVERY === 0) return this.#underWayAtMost(limit).then(nextTurn);
    return this.#underWay <= limit ? undefined : this.#underWayAtMost(limit);
  }

  async #underWayAtMost(limit: number): Promise<void> {
    while (this.#underWay > limit) await this.#room.wait();
  }

  /**
   * True when no more bodies are to be sent. After the producer was closed, the rest of a list is still counted; a source
   * without an end would fail indefinitely.
   */
  #isOver(): boolean {
    return this.#options.signal?.aborted === true || (this.#isClosed && this.#total === undefined);
  }

  #report(isLast: boolean): void {
    const { onProgress } = this.#options;
    if (!onProgress || (!isLast && performance.now() - this.#reportedAt < PROGRESS_INTERVAL_MS)) return;
    this.#reportedAt = performance.now();
    try {
      const answer: unknown = onProgress({
        sent: this.#sent,
        failed: this.#failed.length,
        total: this.#total,
      });
      if (isThenable(answer)) this.#telling = answer.then(undefined, this.#callbackFailed);
    } catch (error) {
      this.#callbackFailed(error);
    }
  }

  readonly #callbackFailed = (error: unknown) => {
    this.#callbackError ??= { error };
  };
}

function isIterable(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  return isAsync(value) || typeof (value as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function';
}

/** Does not use `in`, which throws for a string. */
function isAsync<Body>(bodies: unknown): bodies is AsyncIterable<Body> {
  return typeof (bodies as Partial<AsyncIterable<Body>>)[Symbol.asyncIterator] === 'function';
}

function totalOf(bodies: unknown): number | undefined {
  if (Array.isArray(bodies)) return bodies.length;
  return bodies instanceof Set || bodies instanceof Map ? bodies.size : undefined;
}
