import type { DelaysContract } from './delays.js';
import type { ExchangeContract, SubscriptionContract } from './exchange.js';
import type { ProcedureContract } from './procedure.js';
import type { QueueContract } from './queue.js';

/** @internal True for what {@link queue} makes, whichever copy of the package made it. */
export function isQueue(value: unknown): value is QueueContract {
  return typeof value === 'object' && value !== null && (value as Partial<QueueContract>).kind === 'queue';
}

/** @internal True for what `exchange.subscription()` makes. */
export function isSubscription(value: unknown): value is SubscriptionContract {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value as Partial<SubscriptionContract>).kind === 'subscription'
  );
}

/** @internal True for what `exchange()` makes. */
export function isExchange(value: unknown): value is ExchangeContract {
  return (
    typeof value === 'object' && value !== null && (value as Partial<ExchangeContract>).kind === 'exchange'
  );
}

/** @internal True for what `procedure()` makes. */
export function isProcedure(value: unknown): value is ProcedureContract {
  return (
    typeof value === 'object' && value !== null && (value as Partial<ProcedureContract>).kind === 'procedure'
  );
}

/** @internal True for what `delays()` makes. */
export function isDelays(value: unknown): value is DelaysContract {
  return typeof value === 'object' && value !== null && (value as Partial<DelaysContract>).kind === 'delays';
}
