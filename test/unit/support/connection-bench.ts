import { Connection } from '../../../src/transport/connection/connection.js';
import { type Credentials, DialError } from '../../../src/transport/port.js';
import { FakeClock } from './fake-clock.js';
import { FakeTransport } from './fake-transport.js';

const backoff = { initialDelayMs: 100, refusedMaxDelayMs: 1_000, maxDelayMs: 30_000, factor: 2 };

/** A connection over a transport whose dials the test answers. */
export class ConnectionBench {
  readonly clock = new FakeClock();
  readonly transport: FakeTransport;
  readonly connection: Connection;
  /** What happened, and the state after it. */
  readonly log: string[] = [];

  constructor(
    options: {
      readonly addresses?: readonly string[];
      readonly credentials?: () => Credentials | Promise<Credentials>;
      readonly startupTimeoutMs?: number;
      /** The broker was connected before. */
      readonly isEstablished?: boolean;
    } = {},
  ) {
    this.transport = new FakeTransport(...(options.addresses ?? []));
    this.connection = new Connection({
      role: 'publish',
      transport: this.transport,
      clock: this.clock,
      backoff,
      startupTimeoutMs: options.startupTimeoutMs ?? 30_000,
      credentials: options.credentials,
      isEstablished: () => options.isEstablished ?? false,
      onChange: (state, event) => this.log.push(`${event.type}: ${state.status}`),
    });
  }
}

/** A failure of a server that was reached. */
export function failure(code: DialError['code'], message: string = code): DialError {
  return new DialError(code, message, { reachedServer: true });
}
