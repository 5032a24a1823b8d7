import type { QueueContract } from '../contracts/queue.js';
import type { Events } from '../events.js';
import type { Message, ReceivedMessage } from './delivery/message.js';
import type { ResolvedConsumerOptions } from './options/consumer-options.js';

/** Something around each run of a handler, which keeps a message from running twice: an inbox, or a store of claims. */
export interface HandlerGuard {
  /** Messages that were handled before. */
  readonly duplicates: number;
  /** Why no message can be handled now; undefined when nothing is known of that. */
  readonly obstacle: string | undefined;
  /** Resolves when it works. Rejects with what will not mend itself. Waits for anything else. */
  start(): Promise<void>;
  /** Runs the handler, or does not, and settles the message where it is not simply to be acknowledged. */
  handle(message: ReceivedMessage): Promise<void>;
  /** Lets go of timers. */
  stop(): void;
}

/** The options that ask for something around a handler, before they are checked. */
export interface GivenGuardOptions {
  readonly inbox?: unknown;
  readonly idempotency?: unknown;
  readonly idempotencyKey?: unknown;
}

/** Makes what is around a handler. */
export type MakeGuard = (
  handler: (message: Message, tx?: unknown) => unknown,
  events: Events,
) => HandlerGuard;

/**
 * Checks these options, beside those that are resolved already. Undefined: nothing is around the handler.
 *
 * Throws a `ConfigurationError` for what does not go together.
 */
export type ResolveGuard = (
  contract: QueueContract,
  hasHandler: boolean,
  given: GivenGuardOptions,
  options: ResolvedConsumerOptions,
) => MakeGuard | undefined;
