import { ConfigurationError } from '../errors.js';
import { type Check, checkOptions, expectInteger, show } from '../util/checks.js';
import type { OutboxEngine } from './outbox.js';
import type { RelayOptions } from './relay.js';
import type { RelayStore } from './relay-store.js';

/** {@link RelayOptions} with every default filled in. */
export interface ResolvedRelayOptions {
  readonly engine: OutboxEngine;
  readonly store: RelayStore;
  readonly pollMs: number;
  readonly batch: number;
}

const relayChecks: Readonly<Record<string, Check>> = {
  db: () => undefined,
  pollMs: expectInteger(50, 60_000),
  batch: expectInteger(1, 10_000),
};

/** @throws ConfigurationError for anything but an outbox, an unknown option or a value out of range */
export function resolveRelayOptions(outbox: unknown, options: RelayOptions): ResolvedRelayOptions {
  const engine = (outbox as { readonly engine?: Partial<OutboxEngine> } | undefined)?.engine;
  if (typeof engine?.open !== 'function')
    throw new ConfigurationError('outbox', `broker.relay: expected an outbox, got ${show(outbox)}`);
  const given: unknown = options;
  if (given === undefined)
    throw new ConfigurationError('db', "broker.relay: option 'db' is required: the source of transactions");
  checkOptions('broker.relay', options, relayChecks);
  const { db, pollMs = 500, batch = 200 } = options;
  return { engine: engine as OutboxEngine, store: (engine as OutboxEngine).open(db), pollMs, batch };
}
