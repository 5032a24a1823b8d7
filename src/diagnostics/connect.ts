import type { Role } from '../transport/port.js';
import { traces } from './channels.js';
import { fieldsOf } from './origin.js';
import { Trace } from './trace.js';

/** One attempt to connect. */
export interface ConnectAttempt {
  readonly broker: string | undefined;
  readonly address: string;
  readonly role: Role;
  /** Of this outage, from 1. */
  readonly attempt: number;
  /** The connection was open before. */
  readonly reconnect: boolean;
}

/** Traces one attempt at one host. */
export function traceConnect<T>(
  { broker, address, role, attempt, reconnect }: ConnectAttempt,
  connect: () => Promise<T>,
): Promise<T> {
  const payload = { ...fieldsOf(broker, address), role, attempt, reconnect };
  return new Trace(traces.connect, payload).follow(connect);
}
