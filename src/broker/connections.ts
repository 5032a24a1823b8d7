import { ChannelAllowance } from '../declarations/channel-pool.js';
import { serialiseDeclarations } from '../declarations/declarer.js';
import { QueueDeclarationLock } from '../declarations/queue-lock.js';
import { delayDeclarerOf } from '../delay/delay-declarer.js';
import type { DelayTarget } from '../delay/topology.js';
import type { Events } from '../event-emitter.js';
import { Connection } from '../transport/connection/connection.js';
import type { ConnectionEvent, ConnectionState } from '../transport/connection/connection-state.js';
import type { Link, Role, Transport } from '../transport/port.js';
import type { Clock } from '../util/clock.js';
import type { ResolvedBrokerOptions } from './options.js';
import { SlowStart } from './slow-start.js';
import { type BrokerState, isDown, type ObservedConnection, summarise } from './state.js';

export interface ConnectionsSettings {
  readonly transport: Transport;
  readonly options: ResolvedBrokerOptions;
  readonly clock: Clock;
  readonly events: Events;
  /** The resource alarm that blocked publishing is over. */
  readonly onUnblocked: () => void;
  /** Delayed messages have a way to a queue or an exchange now. */
  readonly onLanding?: (target: DelayTarget) => void;
}

/** A broker's two connections, presented as one: one state, and one event per outage. */
export class Connections {
  readonly publish: Connection;
  readonly consume: Connection;
  readonly #settings: ConnectionsSettings;
  readonly #lock: QueueDeclarationLock;
  readonly #allowance = new ChannelAllowance();
  readonly #hasBeenOpen: Record<Role, boolean> = { publish: false, consume: false };
  readonly #slowStart: SlowStart;
  #wasDown = false;
  #isClosing = false;

  constructor(settings: ConnectionsSettings) {
    this.#settings = settings;
    this.#lock = new QueueDeclarationLock(settings.clock);
    this.#slowStart = new SlowStart(settings.events, settings.options.startupTimeoutMs);
    this.publish = this.#make('publish');
    this.consume = this.#make('consume');
  }

  state(life: 'open' | 'closing' | 'closed'): BrokerState {
    return summarise(this.observe(), life);
  }

  observe(): readonly (ObservedConnection & { readonly role: Role })[] {
    return [this.publish, this.consume].map(({ role, state }) => ({
      role,
      state,
      hasBeenOpen: this.#hasBeenOpen[role],
    }));
  }

  /** The links that are open. */
  links(): readonly Link[] {
    return [this.publish.current, this.consume.current].filter((link) => link !== undefined);
  }

  /** The consuming connection, which no alarm can block, if it is open; otherwise the one that is open from the start. */
  forAdministration(): Connection {
    const isBlocked = this.publish.current?.blocked !== undefined;
    return this.consume.current || isBlocked ? this.consume : this.publish;
  }

  /** Closes both connections with a handshake, and dials no more. Bounded in time; never rejects. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#slowStart.ended();
    await Promise.all([this.publish.close(), this.consume.close()]);
  }

  /** Drops both connections at once, without a handshake. */
  async destroy(reason: Error): Promise<void> {
    this.#isClosing = true;
    this.publish.destroy(reason);
    this.consume.destroy(reason);
    await this.close();
  }

  #make(role: Role): Connection {
    const { transport, clock, options } = this.#settings;
    return new Connection({
      broker: options.name,
      role,
      transport,
      clock,
      backoff: options.reconnect,
      startupTimeoutMs: options.startupTimeoutMs,
      credentials: options.credentials,
      isEstablished: () => this.#isEstablished(),
      onChange: (state, event) => this.#changed(role, state, event),
    });
  }

  #isEstablished(): boolean {
    return this.#hasBeenOpen.publish || this.#hasBeenOpen.consume;
  }

  #changed(role: Role, state: ConnectionState, event: ConnectionEvent): void {
    if (this.#isClosing) return;
    const { events, onUnblocked } = this.#settings;
    const isFirst = !this.#isEstablished();
    if (event.type === 'opened') {
      this.#hasBeenOpen[role] = true;
      const link = this[role].current;
      if (link) {
        serialiseDeclarations(link, this.#lock, this.#allowance);
        delayDeclarerOf(link).onLanding = this.#settings.onLanding;
      }
    }
    const wasDown = this.#wasDown;
    this.#wasDown = this.observe().some(isDown);
    switch (event.type) {
      case 'dial':
        if (isFirst) this.#slowStart.dialling();
        break;
      case 'opened':
        this.#slowStart.ended();
        if (!this.#wasDown && (wasDown || isFirst)) events.emit('connected', { address: event.address });
        break;
      case 'lost':
        if (!wasDown)
          events.emit('disconnected', { connection: role, error: event.error, delayMs: event.delayMs });
        break;
      case 'failed': {
        this.#slowStart.failed(event.error);
        const attempt = state.status === 'waiting' ? state.attempt : 1;
        events.emit('connect-failed', {
          connection: role,
          attempt,
          error: event.error,
          delayMs: event.delayMs,
        });
        break;
      }
      case 'gave-up':
        this.#slowStart.ended();
        break;
      case 'blocked':
        events.emit('blocked', { reason: event.reason });
        break;
      case 'unblocked':
        events.emit('unblocked', {});
        onUnblocked();
        break;
      default:
        break;
    }
  }
}
