import { Broker } from '../broker/broker.js';
import type { Logger } from '../events.js';
import type { Invocation } from './command.js';
import { noConnection } from './failure.js';
import { type Greeting, greet } from './greeting.js';
import { resolveWhere, type Where } from './server-address.js';
import { printable } from './text.js';

/** The time limit of connecting. */
const CONNECT_MS = 9_500;

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export interface Session {
  readonly where: Where;
  readonly greeting: Greeting;
  readonly broker: Broker;
}

/**
 * Connects, runs the work, and closes again in any case. The signal ends the work: either the work observes it, or what it
 * waits for fails when the broker closes.
 *
 * @throws CommandFailure with the exit code for no connection
 */
export async function withBroker<T>(
  { values, env, secrets, signal }: Pick<Invocation, 'values' | 'env' | 'secrets' | 'signal'>,
  work: (session: Session) => Promise<T>,
  positional?: string,
): Promise<T> {
  const where = resolveWhere(values, env, secrets, positional);
  const begunAt = performance.now();
  const greeting = await greet(where, signal);
  requireVhost(where, greeting);
  const leftMs = Math.max(500, CONNECT_MS - (performance.now() - begunAt));
  const broker = new Broker(where.url, {
    name: 'leveret (command)',
    startupTimeoutMs: Math.round(leftMs),
    // The command reports errors itself, once.
    logger: silent,
  });
  const close = () => void broker.close({ timeoutMs: 2_000 });
  signal.addEventListener('abort', close, { once: true });
  try {
    signal.throwIfAborted();
    await broker.connect();
    return await work({ where, greeting, broker });
  } finally {
    signal.removeEventListener('abort', close);
    await broker.close({ timeoutMs: 2_000 });
  }
}

/** @throws CommandFailure where the virtual host cannot be used */
export function requireVhost({ label }: Where, { vhost }: Greeting): void {
  if (vhost.status === 'open') return;
  throw noConnection(`could not connect to ${label}: ${printable(vhost.reason)}`);
}
