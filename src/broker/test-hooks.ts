import type { ReceivedMessage } from '../consumer/delivery/message.js';
import type { QueueContract } from '../contracts/queue.js';
import type { TableRelay } from '../outbox/table-relay.js';
import type { Transport } from '../transport/port.js';
import type { Clock } from '../util/clock.js';
import type { BrokerOptions } from './options.js';

/** The outcome of a message that a handler or a loop has seen. `failed`: a request that was answered with an error. */
export type Outcome = 'acked' | 'retried' | 'dead-lettered' | 'requeued' | 'failed';

/** Called with each verdict on a message. */
export type OutcomeListener = (
  contract: QueueContract,
  message: ReceivedMessage,
  outcome: Outcome,
  error: unknown,
) => void;

/** What the testing kit injects into a broker in place of the real parts. Not part of the public API. */
export interface TestHooks {
  readonly clock: Clock;
  /** Measures the deadline of `close`; the broker's own clock by default. */
  readonly closeClock?: Clock;
  readonly transport: Transport;
  readonly onOutcome: OutcomeListener;
  /** A dead letter is about to be put back into its queue, under this id. */
  onReplay?(messageId: string | undefined): void;
  /** A relay has started. */
  onRelay(relay: TableRelay): void;
  /**
   * Wraps a handler that runs inside a transaction or an idempotency guard: a simulated crash of the handler has to end the
   * guard, too.
   */
  wrapGuarded<A extends readonly unknown[]>(handler: (...args: A) => unknown): (...args: A) => unknown;
  wrapHandler<A extends readonly unknown[]>(handler: (...args: A) => unknown): (...args: A) => unknown;
}

/** A private symbol, under which options carry more than their type says. */
const TEST_HOOKS = Symbol('leveret.test-hooks');

export function withTestHooks(options: BrokerOptions, testHooks: TestHooks): BrokerOptions {
  return { ...options, [TEST_HOOKS]: testHooks } as BrokerOptions;
}

export function testHooksOf(options: BrokerOptions | undefined): TestHooks | undefined {
  return (options as { readonly [TEST_HOOKS]?: TestHooks } | undefined)?.[TEST_HOOKS];
}
