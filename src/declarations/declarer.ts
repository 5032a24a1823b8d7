import { type TopologyStep, topologyOf } from '../contracts/topology.js';
import type { Contract } from '../contracts/types.js';
import { type TopologyDifference, TopologyError } from '../errors.js';
import { classify, replyCodeOf, unsupportedArgumentOf } from '../transport/failures.js';
import { type Channel, type Link, TransportError } from '../transport/port.js';
import { mismatch, toTopologyError } from '../transport/public-errors.js';
import { type ChannelAllowance, ChannelPool } from './channel-pool.js';
import type { DeclaringStep } from './contract-options.js';
import { findDifferences } from './differences.js';
import type { QueueDeclarationLock } from './queue-lock.js';

export interface DeclareOptions {
  /** Declares even if it was declared before, because something is known to be missing. */
  readonly again?: boolean;
  /**
   * The caller's own channel, opened again after a refusal has closed it. However many callers declare, each does so without
   * waiting for one of the declarer's channels.
   */
  readonly openChannel?: (() => Promise<Channel>) | undefined;
  /**
   * Called for each queue or exchange that was missing, once it is declared: it is looked for before. Not for what goes with its
   * last consumer.
   */
  readonly onRestored?: ((restored: Restored) => void) | undefined;
}

/** A queue or exchange that had disappeared and was declared again. */
export type Restored = Pick<Contract, 'kind' | 'name'>;

/** A step that was declared, or is being declared. */
interface Declared {
  readonly done: Promise<void>;
  isPending: boolean;
}

/**
 * Declares topology on one link, each contract once. The server closes the channel of a refused declaration, so declarations
 * use channels of their own, which are closed when nothing is left to declare.
 */
export class Declarer {
  readonly link: Link;
  readonly #lock: QueueDeclarationLock | undefined;
  readonly #channels: ChannelPool;
  readonly #declared = new Map<string, Declared>();
  #forgotten = 0;
  /** The differences of each refused step: a program that tries again and again does not search again. */
  readonly #differences = new Map<string, readonly TopologyDifference[]>();

  constructor(link: Link, lock?: QueueDeclarationLock, allowance?: ChannelAllowance) {
    this.link = link;
    this.#lock = lock;
    this.#channels = new ChannelPool(link, allowance);
  }

  /**
   * Declares what the contract needs. Rejects with a `TopologyError` for a permanent refusal, and with a `TransportError`
   * when it may work later.
   *
   * @param options - how: see {@link DeclareOptions}
   */
  declare(contract: Contract, options: DeclareOptions = {}): Promise<void> {
    return this.declareAll(topologyOf(contract), options);
  }

  /** The same for single steps. */
  async declareAll(steps: readonly TopologyStep[], options: DeclareOptions = {}): Promise<void> {
    for (const step of steps) await this.#once(step, options);
  }

  /** Runs one operation on a channel of the declarer, side by side with others. */
  run<T>(operation: (channel: Channel) => Promise<T>): Promise<T> {
    return this.#channels.run((channel) => this.#explaining(operation(channel)));
  }

  /** Forgets what was declared, because something was deleted. */
  forget(): void {
    this.#declared.clear();
    this.#differences.clear();
    this.#forgotten++;
  }

  /** The number of calls of {@link forget}, for callers that remember declarations themselves. */
  get forgotten(): number {
    return this.#forgotten;
  }

  async #once(step: TopologyStep, options: DeclareOptions): Promise<void> {
    const { again = false, openChannel, onRestored } = options;
    const key = JSON.stringify(step);
    const before = this.#declared.get(key);
    // A running declaration is not repeated beside it, whatever the caller.
    if (before && (!again || before.isPending)) return before.done;
    const perform = (channel: Channel) => this.#explaining(performStep(channel, step), step);
    const onChannel = <T>(operation: (channel: Channel) => Promise<T>) =>
      openChannel ? openChannel().then(operation) : this.#channels.run(operation);
    const lasting = onRestored && lastingOf(step);
    const declare = async () => {
      const wasMissing = lasting && (await onChannel((channel) => isMissing(channel, lasting)));
      await onChannel(perform);
      if (wasMissing) onRestored?.(lasting);
    };
    const declared =
      step.kind === 'queue' && this.#lock ? this.#lock.run(step.queue.name, declare) : declare();
    const done = declared.catch((error: unknown) => this.#refused(error, step));
    const entry: Declared = { done, isPending: true };
    this.#declared.set(key, entry);
    try {
      await done;
      entry.isPending = false;
    } catch (error) {
      if (this.#declared.get(key) === entry) this.#declared.delete(key);
      throw error;
    }
  }

  async #refused(error: unknown, step: TopologyStep): Promise<void> {
    const refusal = topologyError(error, step);
    const isLenient = step.kind === 'queue' && step.lenient;
    if (!isLenient || !(refusal instanceof TopologyError)) throw await this.#complete(refusal, error, step);
    if (refusal.code === 'MISMATCH') return;
    try {
      await this.run((channel) => channel.checkQueue(step.queue.name));
    } catch {
      throw withDeadLetterAdvice(refusal);
    }
  }

  /** The refusal with all differences. */
  async #complete(refusal: unknown, error: unknown, step: TopologyStep): Promise<unknown> {
    if (!(refusal instanceof TopologyError) || refusal.code !== 'MISMATCH') return refusal;
    if (refusal.argument === undefined || (step.kind !== 'queue' && step.kind !== 'exchange')) return refusal;
    const key = JSON.stringify(step);
    const known = this.#differences.get(key);
    const isSame = known?.[0]?.argument === refusal.argument && known[0].existing === refusal.existing;
    const differences = isSame
      ? known
      : await findDifferences(step, error, (operation) => this.run(operation));
    this.#differences.set(key, differences);
    const [first, ...others] = differences;
    return first ? mismatch(refusal.target, subjectOf(step), [first, ...others], error) : refusal;
  }

  async #explaining<T>(answer: Promise<T>, step?: TopologyStep): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw await this.#explained(error, step);
    }
  }

  /**
   * If the server refuses by closing the whole connection, only the connection receives the reason. Everything else that was under way
   * may succeed on the next one.
   */
  async #explained(error: unknown, step: TopologyStep | undefined): Promise<unknown> {
    if (this.link.isOpen || classify(error) !== 'lost') return error;
    const refusal = refusalOf(await this.link.closed);
    return refusal && (!step || canBeAbout(refusal, step)) ? refusal : error;
  }
}

/** A refusal that was given as the reason for closing the connection. */
function refusalOf(reason: Error): TransportError | undefined {
  const failure = classify(reason);
  if (failure !== 'unsupported' && failure !== 'transient-denied') return undefined;
  return new TransportError(reason.message, { replyCode: replyCodeOf(reason), cause: reason });
}

/** True if this step can be the one for which the server closed the connection. */
function canBeAbout(refusal: TransportError, step: TopologyStep): boolean {
  if (classify(refusal) === 'transient-denied')
    return step.kind === 'queue' && !step.queue.durable && !step.queue.exclusive;
  const argument = unsupportedArgumentOf(refusal);
  return argument !== undefined && step.kind === 'queue' && argument in step.queue.arguments;
}

const declarers = new WeakMap<Link, Declarer>();

/** The declarer of a link, shared by all parts of the broker, so that none declares again what another has declared. */
export function declarerOf(link: Link): Declarer {
  let declarer = declarers.get(link);
  if (!declarer) {
    declarer = new Declarer(link);
    declarers.set(link, declarer);
  }
  return declarer;
}

/** From now on the link declares in turn with the other links that share this lock. Call it before the link's first use. */
export function serialiseDeclarations(
  link: Link,
  lock: QueueDeclarationLock,
  allowance: ChannelAllowance,
): void {
  declarers.set(link, new Declarer(link, lock, allowance));
}

/** Without a place for dead letters, a message that fails permanently could only be retried again and again. */
function withDeadLetterAdvice(refusal: TopologyError): TopologyError {
  const { code, target, message } = refusal;
  const advice =
    `Messages that fail permanently would have no place. Declare '${target}' first, or use the option 'deadLetter': ` +
    `the contract of a queue, true for '<queue>.dead', or false to drop these messages`;
  return new TopologyError(code, target, `${message}. ${advice}`, { cause: refusal });
}

function subjectOf(step: DeclaringStep): string {
  return step.kind === 'queue' ? `The queue '${step.queue.name}'` : `The exchange '${step.exchange.name}'`;
}

function topologyError(error: unknown, step: TopologyStep): unknown {
  switch (step.kind) {
    case 'queue':
      return toTopologyError(error, step.queue.name, subjectOf(step));
    case 'check-queue': {
      const { name, deadLetterOf } = step;
      if (deadLetterOf === undefined) return toTopologyError(error, name, `The queue '${name}'`);
      const subject = `The dead-letter queue '${name}' of the queue '${deadLetterOf}'`;
      const refusal = toTopologyError(error, name, subject);
      return refusal instanceof TopologyError ? withDeadLetterAdvice(refusal) : refusal;
    }
    case 'exchange':
      return toTopologyError(error, step.exchange.name, subjectOf(step));
    case 'check-exchange':
      return toTopologyError(error, step.name, `The exchange '${step.name}'`);
    case 'binding': {
      const { destination, source } = step.binding;
      return toTopologyError(
        error,
        destination.name,
        `The binding of the ${destination.kind} '${destination.name}' to '${source}'`,
      );
    }
  }
}

/** What a step declares, unless that goes with its last consumer by itself. */
function lastingOf(step: TopologyStep): Restored | undefined {
  if (step.kind !== 'queue' && step.kind !== 'exchange') return undefined;
  const { name, autoDelete } = step.kind === 'queue' ? step.queue : step.exchange;
  return autoDelete ? undefined : { kind: step.kind, name };
}

/** The server closes the channel when it is missing. */
async function isMissing(channel: Channel, { kind, name }: Restored): Promise<boolean> {
  try {
    await (kind === 'queue' ? channel.checkQueue(name) : channel.checkExchange(name));
    return false;
  } catch (error) {
    return classify(error) === 'missing';
  }
}

async function performStep(channel: Channel, step: TopologyStep): Promise<void> {
  switch (step.kind) {
    case 'queue':
      return channel.declareQueue(step.queue);
    case 'check-queue':
      await channel.checkQueue(step.name);
      return;
    case 'exchange':
      return channel.declareExchange(step.exchange);
    case 'check-exchange':
      return channel.checkExchange(step.name);
    case 'binding':
      return channel.bind(step.binding);
  }
}
