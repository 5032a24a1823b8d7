import { type Channel, channel } from 'node:diagnostics_channel';

/**
 * The plain channels of one broker's events: `leveret:` and the event's name. The broker's logger subscribes to them like any
 * other subscriber, from the first event on, and receives only the events of its own broker.
 */
export class EventChannels<Event extends string> {
  readonly #broker: string | undefined;
  readonly #channels: ReadonlyMap<Event, Channel>;
  readonly #onOwn: ((event: Event, details: object) => void) | undefined;
  /** The payload that is being published. A payload only reaches the logger while it is this one. */
  #current: { readonly payload: object; readonly event: Event; readonly details: object } | undefined;
  #isSubscribed = false;

  /** @param onOwn - the logger's listener; undefined: there is no logger */
  constructor(
    broker: string | undefined,
    events: readonly Event[],
    onOwn: ((event: Event, details: object) => void) | undefined,
  ) {
    this.#broker = broker;
    this.#channels = new Map(events.map((event) => [event, channel(`leveret:${event}`)]));
    this.#onOwn = onOwn;
  }

  publish(event: Event, details: object): void {
    this.#subscribe();
    const target = this.#channels.get(event);
    if (!target?.hasSubscribers) return;
    const payload = { ...details, broker: this.#broker };
    // A subscriber may cause another event.
    const outer = this.#current;
    this.#current = { payload, event, details };
    target.publish(payload);
    this.#current = outer;
  }

  /** Removes the subscriptions, because channels outlive brokers. */
  close(): void {
    if (!this.#isSubscribed) return;
    this.#isSubscribed = false;
    for (const it of this.#channels.values()) it.unsubscribe(this.#heard);
  }

  #subscribe(): void {
    if (this.#isSubscribed || !this.#onOwn) return;
    this.#isSubscribed = true;
    for (const it of this.#channels.values()) it.subscribe(this.#heard);
  }

  readonly #heard = (payload: unknown): void => {
    const current = this.#current;
    if (current && current.payload === payload) this.#onOwn?.(current.event, current.details);
  };
}
