import type { Connection } from '../../../src/transport/connection/connection.js';
import type { ConnectionState } from '../../../src/transport/connection/connection-state.js';
import { deferred } from '../../../src/util/promises.js';
import { FakeLink } from './fake-link.js';

/** A connection that is open, lost and opened again when the test says so. */
export class FakeConnection {
  readonly links: FakeLink[] = [];
  state: ConnectionState = { status: 'idle' };
  #current: FakeLink | undefined;
  #next = deferred<FakeLink>();

  /** Itself, as the type that everything above the transport takes. */
  get asConnection(): Connection {
    return this as unknown as Connection;
  }

  get current(): FakeLink | undefined {
    return this.#current?.isOpen ? this.#current : undefined;
  }

  link(): Promise<FakeLink> {
    return this.current ? Promise.resolve(this.current) : this.#next.promise;
  }

  /** Connects, or connects again. */
  open(link: FakeLink = new FakeLink()): FakeLink {
    this.#current = link;
    this.links.push(link);
    this.state = { status: 'open', address: link.address };
    const { resolve } = this.#next;
    this.#next = deferred();
    resolve(link);
    return link;
  }

  /** The connection is lost; the next one is opened with {@link open}. */
  lose(error = new Error('connection reset')): void {
    this.state = { status: 'waiting', attempt: 0, delayMs: 100, error };
    this.#current?.die(error);
  }

  /** The start is given up, or the broker is closed. */
  fail(error: Error): void {
    const { reject } = this.#next;
    this.#next = deferred();
    reject(error);
  }
}
