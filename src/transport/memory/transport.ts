import { ConnectionError } from '../../errors.js';
import type { Clock } from '../../util/clock.js';
import { nextTurn } from '../../util/timers.js';
import { DialError, type DialOptions, type Link, type Transport } from '../port.js';
import { type MemoryAddress, parseMemoryAddress } from './address.js';
import { MemoryLink } from './link.js';
import { MemoryServer } from './server.js';

/** Named servers live as long as the process, as a server outlives its clients. */
const named = new Map<string, MemoryServer>();

/** Connects to an embedded broker: a private one, or the one of this name in this process. */
export class MemoryTransport implements Transport {
  readonly addresses: readonly string[];
  readonly server: MemoryServer;
  #isReachable = true;

  constructor(server: MemoryServer, label = 'memory:') {
    this.server = server;
    this.addresses = [label];
  }

  /**
   * The transport for a URL.
   *
   * @throws ConnectionError with the code INVALID_URL
   */
  static at(url: string, clock: Clock): MemoryTransport {
    const address = parseMemoryAddress(url);
    return new MemoryTransport(serverAt(address, clock), address.label);
  }

  /** Makes the next connections succeed or fail, like a server that is up or down. */
  setReachable(isReachable: boolean): void {
    this.#isReachable = isReachable;
  }

  async dial(address: string, { role, signal }: DialOptions): Promise<Link> {
    // A real connection takes at least one turn of the event loop.
    await nextTurn();
    signal.throwIfAborted();
    if (!this.#isReachable)
      throw new DialError('CONNECTION_FAILED', 'the embedded broker is down', { reachedServer: false });
    return new MemoryLink(this.server, address, role);
  }
}

function serverAt({ name, version, defaultQueueType }: MemoryAddress, clock: Clock): MemoryServer {
  if (name === undefined) return new MemoryServer(clock, version, defaultQueueType);
  const existing = named.get(name);
  if (existing && existing.behaviour.version !== version) {
    throw new ConnectionError(
      'INVALID_URL',
      `Invalid broker URL: memory://${name} behaves as RabbitMQ ${existing.behaviour.version} in this process, not as ${version}`,
    );
  }
  if (existing && existing.defaultQueueType !== defaultQueueType) {
    throw new ConnectionError(
      'INVALID_URL',
      `Invalid broker URL: the default queue type of memory://${name} in this process is ${existing.defaultQueueType}, not ${defaultQueueType}`,
    );
  }
  const server = existing ?? new MemoryServer(clock, version, defaultQueueType);
  named.set(name, server);
  return server;
}
