import type { TopologyStep } from '../contracts/topology.js';
import type { DelaysContract } from '../contracts/types.js';
import { declarerOf } from '../declarations/declarer.js';
import { TopologyError } from '../errors.js';
import { classify } from '../transport/failures.js';
import { type Link, TransportError } from '../transport/port.js';
import type { Clock } from '../util/clock.js';
import { LEVELS, levelCountOf } from './levels.js';
import {
  commonSteps,
  type DelayTarget,
  delayQueueSteps,
  heldSteps,
  LANDED,
  landingSteps,
  type PriorityClass,
  targetKey,
  targetStep,
} from './topology.js';

/**
 * After this time a target is bound again before a message is delayed for it: it may have been deleted and declared again by another
 * program, without its binding.
 */
const BIND_AGAIN_AFTER_MS = 10_000;

/** After this time a target is bound again while messages are sent, so that messages to a target in steady use never wait for it. */
const RENEW_AFTER_MS = 5_000;

/** The needs of a delayed message: they decide which queues, exchanges and bindings have to exist. */
export interface DelayNeeds {
  readonly target: DelayTarget;
  /** The delay in units. 0: only the target. */
  readonly units: number;
  readonly priorities: PriorityClass;
}

/**
 * Declares the queues and exchanges of delays on one link: only the levels that are used, each once. All queues of a level are declared
 * together, because the next delay has other digits, and so has the rest of this one when everything is declared.
 */
class DelayDeclarer {
  readonly #link: Link;
  #forgotten: number;
  /** The number of levels whose queues are declared. */
  readonly #levelCounts: Record<PriorityClass, number> = { low: 0, high: 0 };
  readonly #boundAt = new Map<string, number>();
  /** The targets that are being bound again while messages are sent. */
  readonly #renewed = new Set<string>();
  /** Called for each target whose landing queue was declared. */
  onLanding: ((target: DelayTarget) => void) | undefined;

  constructor(link: Link) {
    this.#link = link;
    this.#forgotten = declarerOf(link).forgotten;
  }

  /** True when nothing is left to declare. */
  isReady({ target, units, priorities }: DelayNeeds, now: number): boolean {
    this.#forgetWithLink();
    const boundAt = this.#boundAt.get(targetKey(target));
    if (boundAt === undefined || now - boundAt >= BIND_AGAIN_AFTER_MS) return false;
    return levelCountOf(units) <= this.#levelCounts[priorities];
  }

  /**
   * Declares what is missing. Rejects with a `TopologyError` when that is refused, and with a `TransportError` when it may
   * work later.
   */
  async prepare({ target, units, priorities }: DelayNeeds, now: number): Promise<void> {
    this.#forgetWithLink();
    await this.#declareLevels(levelCountOf(units), priorities);
    await this.#unlessForgotten(this.#open(target), () => this.#boundAt.set(targetKey(target), now));
  }

  /** Binds a target again before messages have to wait for that. Resolves when that is done; never rejects. */
  async renew(target: DelayTarget, now: number): Promise<void> {
    const key = targetKey(target);
    const boundAt = this.#boundAt.get(key);
    if (boundAt === undefined || now - boundAt < RENEW_AFTER_MS || this.#renewed.has(key)) return;
    this.#renewed.add(key);
    try {
      await this.#unlessForgotten(this.#open(target), () => this.#boundAt.set(key, now));
    } catch {
      // The next message waits for the declaration, and fails with it.
      this.#boundAt.delete(key);
    }
    this.#renewed.delete(key);
  }

  /** Declares the holding queue of a target. Rejects as {@link prepare} does. */
  async prepareToHold(target: DelayTarget): Promise<void> {
    await this.#declareAll([...commonSteps(1), ...heldSteps(target)]);
  }

  /** Declares every level. */
  async declareLevels(): Promise<void> {
    this.#forgetWithLink();
    await this.#declareLevels(LEVELS.length, 'low');
    await this.#declareLevels(LEVELS.length, 'high');
  }

  async #declareLevels(levelCount: number, priorities: PriorityClass): Promise<void> {
    if (levelCount <= this.#levelCounts[priorities]) return;
    const queueSteps = LEVELS.slice(0, levelCount).flatMap((level, at) =>
      level.queues.flatMap((queue) => delayQueueSteps(at, queue, priorities)),
    );
    await this.#unlessForgotten(this.#declareAll([...commonSteps(levelCount), ...queueSteps]), () => {
      this.#levelCounts[priorities] = Math.max(levelCount, this.#levelCounts[priorities]);
    });
  }

  async #unlessForgotten(declared: Promise<void>, remember: () => void): Promise<void> {
    const before = this.#forgotten;
    await declared;
    this.#forgetWithLink();
    if (this.#forgotten === before) remember();
  }

  /** Forgets what was declared here if anything was deleted, because it may have been part of a delay. */
  #forgetWithLink(): void {
    const { forgotten } = declarerOf(this.#link);
    if (forgotten === this.#forgotten) return;
    this.#forgotten = forgotten;
    this.#levelCounts.low = 0;
    this.#levelCounts.high = 0;
    this.#boundAt.clear();
  }

  /** Declares side by side: first queues and exchanges, then their bindings. */
  async #declareAll(steps: readonly TopologyStep[]): Promise<void> {
    const isBinding = ({ kind }: TopologyStep) => kind === 'binding';
    await Promise.all(steps.filter((step) => !isBinding(step)).map((step) => this.#declare(step)));
    await Promise.all(steps.filter(isBinding).map((step) => this.#declare(step)));
  }

  async #declare(step: TopologyStep, options?: { readonly again: boolean }): Promise<void> {
    const declarer = declarerOf(this.#link);
    try {
      await declarer.declareAll([step], options);
    } catch (refusal) {
      // A queue with other arguments would keep messages too long, or forever, without any error.
      if (!(refusal instanceof TopologyError) || refusal.code !== 'ACCESS_REFUSED') throw refusal;
      // Not allowed to declare: existing parts can be used. A binding cannot be checked, but it was created with its queue or
      // exchange.
      const check = checkOf(step);
      if (!check) return;
      try {
        await declarer.declareAll([check], { again: true });
      } catch (missing) {
        throw missing instanceof TopologyError ? explained(refusal) : missing;
      }
    }
  }

  /** Declares the way to a target, from its end: a message that lands must be able to continue. */
  async #open(target: DelayTarget): Promise<void> {
    await this.#bind(target);
    for (const step of landingSteps(target)) await this.#declare(step, { again: true });
    this.onLanding?.(target);
  }

  async #bind(target: DelayTarget): Promise<void> {
    try {
      await declarerOf(this.#link).declareAll([targetStep(target)], { again: true });
    } catch (error) {
      if (error instanceof TopologyError && error.code === 'ACCESS_REFUSED')
        throw bindingRefused(error, target);
      if (error instanceof TransportError && classify(error) === 'locked') {
        const message = `The ${target.kind} '${target.name}' cannot receive delayed messages: ${error.message}`;
        throw new TopologyError('ACCESS_REFUSED', target.name, message, { cause: error });
      }
      throw error;
    }
  }
}

const declarers = new WeakMap<Link, DelayDeclarer>();

/** The declarer of a link's delays. */
export function delayDeclarerOf(link: Link): DelayDeclarer {
  let declarer = declarers.get(link);
  if (!declarer) {
    declarer = new DelayDeclarer(link);
    declarers.set(link, declarer);
  }
  return declarer;
}

/** Declares all levels, and the way to the contracts' queues and exchanges. */
export async function declareDelays(link: Link, { contracts }: DelaysContract, clock: Clock): Promise<void> {
  const declarer = delayDeclarerOf(link);
  await declarer.declareLevels();
  for (const { kind, name } of contracts) {
    const target = { kind, name };
    if (kind === 'queue') await declarer.prepareToHold(target);
    await declarer.prepare({ target, units: 0, priorities: 'low' }, clock.now());
  }
}

/** The check that a step's queue or exchange exists. */
function checkOf(step: TopologyStep): TopologyStep | undefined {
  if (step.kind === 'queue') return { kind: 'check-queue', name: step.queue.name };
  return step.kind === 'exchange' ? { kind: 'check-exchange', name: step.exchange.name } : undefined;
}

function explained(refusal: TopologyError): TopologyError {
  const { code, target, message } = refusal;
  const advice =
    `Delayed messages wait in queues and exchanges named 'leveret.delay.…'. Give this user the permissions to configure, ` +
    `write and read those, or let another one create them ahead with broker.declare(delays(…))`;
  return new TopologyError(code, target, `${message}. ${advice}`, { cause: refusal });
}

function bindingRefused(refusal: TopologyError, { kind, name }: DelayTarget): TopologyError {
  const { code, target, message } = refusal;
  const advice =
    `To receive delayed messages, the ${kind} '${name}' is bound to '${LANDED}': ` +
    `that needs the permissions to write the first and to read the second`;
  return new TopologyError(code, target, `${message}. ${advice}`, { cause: refusal });
}
