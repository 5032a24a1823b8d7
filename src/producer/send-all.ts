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
import { onAbort } from '../util/on-abort.js';
import { isThenable } from '../util/promises.js';
import { nextTurn, realTimers } from '../util/timers.js';
import type { Receipt } from './publisher/pending-send.js';
import type { AnySendOptions, SendArguments } from './send-options.js';

/** The progress of a `sendAll`. */
export interface SendAllProgress {
  /** Confirmed so far. */
  readonly sent: number;
  /** Failed so far. */
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
  send: (body: Body, options: AnySendOptions | undefined) => Promise<Receipt>,
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
  const { onProgress, signal, each } = options;
  const total = totalOf(bodies);
  const failed: { index: number; body: Body; error: unknown }[] = [];
  let sent = 0;
  let underWay = 0;
  let isClosed = false;
  const room = new Condition();
  let callbackError: { readonly error: unknown } | undefined;
  const callbackFailed = (error: unknown) => {
    callbackError ??= { error };
  };
  /** The promise of the last call of `onProgress`, if that is an async function. */
  let telling: PromiseLike<unknown> | undefined;
  let reportedAt = performance.now();

  const report = (isLast: boolean) => {
    if (!onProgress || (!isLast && performance.now() - reportedAt < PROGRESS_INTERVAL_MS)) return;
    reportedAt = performance.now();
    try {
      const answer: unknown = onProgress({ sent, failed: failed.length, total });
      if (isThenable(answer)) telling = answer.then(undefined, callbackFailed);
    } catch (error) {
      callbackFailed(error);
    }
  };
  const ended = () => {
    underWay--;
    room.notify();
    report(false);
  };
  const sendFailed = (body: Body, index: number, error: unknown) => {
    failed.push({ index, body, error });
    if (error instanceof ClosedError) isClosed = true;
    ended();
  };
  let index = 0;
  const begin = (body: Body) => {
    const at = index++;
    underWay++;
    try {
      const own = typeof each === 'function' ? each(body, at) : each;
      send(body, signal ? { signal, ...own } : own).then(
        () => {
          sent++;
          ended();
        },
        (error: unknown) => sendFailed(body, at, error),
      );
    } catch (error) {
      sendFailed(body, at, error);
    }
  };
  const underWayAtMost = async (limit: number) => {
    while (underWay > limit) await room.wait();
  };
  /** A promise only where there is something to wait for. */
  const untilNext = (): Promise<void> | undefined => {
    // Sends that fail at once give the event loop no turn: the program could not abort, and nothing could be confirmed.
    if (index % TURN_EVERY === 0) return underWayAtMost(maxUnderWay - 1).then(nextTurn);
    return underWay < maxUnderWay ? undefined : underWayAtMost(maxUnderWay - 1);
  };
  // A list is accounted for in full. A source without an end would fail forever.
  const isOver = () => signal?.aborted || (isClosed && total === undefined);

  try {
    if (isAsync(bodies)) {
      for await (const body of signal ? untilAborted(bodies, signal) : bodies) {
        begin(body);
        await untilNext();
        if (isOver()) break;
      }
    } else if (!isOver()) {
      for (const body of bodies) {
        // Of an iterable of promises, as `for await` would.
        begin(isThenable(body) ? ((await body) as Body) : body);
        const next = untilNext();
        if (next) await next;
        if (isOver()) break;
      }
    }
  } finally {
    await underWayAtMost(0);
  }
  report(true);
  // A slow `onProgress` is not awaited any longer: it may never settle.
  if (telling) await Promise.race([telling, nextTurn()]);
  if (callbackError) throw (callbackError as { readonly error: unknown }).error;
  return { sent, failed };
}

/** The items of the source until the signal aborts, even while the source is being awaited. */
async function* untilAborted<Body>(bodies: AsyncIterable<Body>, signal: AbortSignal): AsyncGenerator<Body> {
  const source = bodies[Symbol.asyncIterator]();
  let wake: (() => void) | undefined;
  const unsubscribe = onAbort(signal, () => wake?.());
  let isOver = false;
  try {
    while (!signal.aborted) {
      const next = Promise.resolve(source.next());
      // No race with a promise of the signal, which would retain something of every step until the end.
      const step = await new Promise<IteratorResult<Body> | undefined>((resolve, reject) => {
        wake = () => resolve(undefined);
        next.then(resolve, reject);
        // The source itself aborted, before there was a listener. An item that it returned all the same goes first.
        if (signal.aborted) realTimers.queueMicrotask(wake);
      });
      isOver = step?.done ?? false;
      if (!step || step.done) return;
      yield await step.value;
    }
  } catch (error) {
    isOver = true;
    throw error;
  } finally {
    unsubscribe();
    // Not awaited: a source that is stuck in `next` answers `return` no sooner.
    if (!isOver) void Promise.resolve(source.return?.()).catch(() => {});
  }
}

function isIterable(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  return isAsync(value) || typeof (value as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function';
}

/** Also of a string, which `in` would not take. */
function isAsync<Body>(bodies: unknown): bodies is AsyncIterable<Body> {
  return typeof (bodies as Partial<AsyncIterable<Body>>)[Symbol.asyncIterator] === 'function';
}

function totalOf(bodies: unknown): number | undefined {
  if (Array.isArray(bodies)) return bodies.length;
  return bodies instanceof Set || bodies instanceof Map ? bodies.size : undefined;
}
