import type { HandlerWrapper } from '../consumer/consumer-factory.js';
import type { OutcomeListener } from '../consumer/settlement/outcome.js';
import type { TableRelay } from '../outbox/table-relay.js';
import type { Transport } from '../transport/port.js';
import type { Clock } from '../util/clock.js';
import type { BrokerOptions } from './options.js';

/** What the testing kit injects into a broker in place of the real parts. Not part of the public API. */
export interface TestHooks extends HandlerWrapper {
  readonly clock: Clock;
  /** Measures the deadline of `close`; the broker's own clock by default. */
  readonly closeClock?: Clock;
  readonly transport: Transport;
  readonly onOutcome: OutcomeListener;
  /** A dead letter is about to be put back into its queue, under this id. */
  onReplay?(messageId: string | undefined): void;
  /** A relay has started. */
  onRelay(relay: TableRelay): void;
}

/** A private symbol, under which options carry more than their type says. */
const TEST_HOOKS = Symbol('leveret.test-hooks');

export function withTestHooks(options: BrokerOptions, testHooks: TestHooks): BrokerOptions {
  return { ...options, [TEST_HOOKS]: testHooks } as BrokerOptions;
}

export function testHooksOf(options: BrokerOptions | undefined): TestHooks | undefined {
  return (options as { readonly [TEST_HOOKS]?: TestHooks } | undefined)?.[TEST_HOOKS];
}
