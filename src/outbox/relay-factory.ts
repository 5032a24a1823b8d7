import { messageOf } from '../errors.js';
import { type Events, reportDatabase } from '../event-emitter.js';
import { BrokerSender, type BrokerSenderHost } from './broker-sender.js';
import type { Outbox } from './outbox.js';
import type { Relay, RelayOptions } from './relay.js';
import { resolveRelayOptions } from './relay-options.js';
import { TableRelay } from './table-relay.js';

export interface RelayFactorySettings extends BrokerSenderHost {
  readonly events: Events;
  /** The registry of the broker's parts. */
  readonly registry: { addRelay(relay: TableRelay): void; removeRelay(relay: TableRelay): void };
  readonly onRelay: ((relay: TableRelay) => void) | undefined;
}

/** Creates the relays of a broker. */
export class RelayFactory {
  readonly #settings: RelayFactorySettings;

  constructor(settings: RelayFactorySettings) {
    this.#settings = settings;
  }

  /** @throws ConfigurationError that names the wrong argument */
  relay(outbox: Outbox, options: RelayOptions): Relay {
    const { clock, events, registry, onRelay } = this.#settings;
    const resolved = resolveRelayOptions(outbox, options);
    const relay = new TableRelay(resolved, {
      clock,
      sender: new BrokerSender(this.#settings, resolved.batch),
      onStuck: (table, { id, messageId, contract }, attempts, error) =>
        events.emit('outbox-stuck', { table, id, messageId, contract, attempts, error }),
      onRelayClosed: (closed) => registry.removeRelay(closed),
      onFailed: (table, error) => {
        const text = `Leveret: the relay of the outbox '${table}' has ended, and its rows are not sent: ${messageOf(error)}`;
        events.warn('LEVERET_RELAY_FAILED', table, `${text}. To handle this, await its 'ready' or 'closed'`);
      },
      onDatabase: (table, reason) =>
        reportDatabase(events, `the relay of the outbox '${table}'`, 'its database', reason),
    });
    registry.addRelay(relay);
    onRelay?.(relay);
    return relay;
  }
}
