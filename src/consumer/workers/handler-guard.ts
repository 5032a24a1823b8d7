import type { QueueContract } from '../../contracts/types.js';
import type { Events } from '../../event-emitter.js';
import type { Message, ReceivedMessage } from '../delivery/message.js';
import type { GivenGuardOptions } from '../options/arguments.js';
import type { ResolvedConsumerOptions } from '../options/consumer-options.js';

/** Wraps each run of a handler to keep a message from being handled twice: an inbox, or a store of claims. */
export interface HandlerGuard {
  /** Messages that were already handled. */
  readonly duplicates: number;
  /** Why no message can be handled now; undefined if no reason is known. */
  readonly obstacle: string | undefined;
  /** Resolves when the guard is ready. Rejects for a permanent reason. Waits out everything else. */
  start(): Promise<void>;
  /** Runs the handler or not, and settles the message unless a plain acknowledgement is enough. */
  handle(message: ReceivedMessage): Promise<void>;
  /** Disarms its timers. */
  stop(): void;
}

/** Creates the guard around a handler. */
export type MakeGuard = (
  handler: (message: Message, tx?: unknown) => unknown,
  events: Events,
) => HandlerGuard;

/**
 * Checks these options, beside those that are resolved already. Undefined: the handler has no guard.
 *
 * Throws a `ConfigurationError` for a combination that is not allowed.
 */
export type ResolveGuard = (
  contract: QueueContract,
  hasHandler: boolean,
  given: GivenGuardOptions,
  options: ResolvedConsumerOptions,
) => MakeGuard | undefined;
