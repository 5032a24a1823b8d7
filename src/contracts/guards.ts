import type {
  DelaysContract,
  ExchangeContract,
  ProcedureContract,
  QueueContract,
  SubscriptionContract,
} from './types.js';

/** @internal True for a contract created by `queue()`, whichever copy of the package created it. */
export function isQueue(value: unknown): value is QueueContract {
  return isKind(value, 'queue');
}

/** @internal True for a contract created by `exchange.subscription()`. */
export function isSubscription(value: unknown): value is SubscriptionContract {
  return isKind(value, 'subscription');
}

/** @internal True for a contract created by `exchange()`. */
export function isExchange(value: unknown): value is ExchangeContract {
  return isKind(value, 'exchange');
}

/** @internal True for a contract created by `procedure()`. */
export function isProcedure(value: unknown): value is ProcedureContract {
  return isKind(value, 'procedure');
}

/** @internal True for an object created by `delays()`. */
export function isDelays(value: unknown): value is DelaysContract {
  return isKind(value, 'delays');
}

/** @internal True for a queue that delivers to one consumer at a time, and to the next one when that consumer leaves. */
export function isSingleActive(contract: QueueContract): boolean {
  return contract.arguments['x-single-active-consumer'] === true;
}

function isKind(value: unknown, kind: string): boolean {
  return typeof value === 'object' && value !== null && (value as { readonly kind?: unknown }).kind === kind;
}
