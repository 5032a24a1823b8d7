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

/**
 * Traces one attempt at one host.
 *
 * @param toPublicError - converts the error of `connect` to the one that users receive
 */
export async function traceConnect<T>(
  { broker, address, role, attempt, reconnect }: ConnectAttempt,
  connect: () => Promise<T>,
  toPublicError: (error: unknown) => unknown,
): Promise<T> {
  const trace = new Trace(traces.connect, { ...fieldsOf(broker, address), role, attempt, reconnect });
  try {
    const connection = await trace.run(connect);
    trace.succeed();
    return connection;
  } catch (error) {
    trace.fail(toPublicError(error));
    throw error;
  }
}
