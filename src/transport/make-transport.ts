import { ConnectionError } from '../errors.js';
import type { Clock } from '../util/clock.js';
import { VERSION } from '../version.js';
import { isMemoryUrl } from './memory/address.js';
import { MemoryTransport } from './memory/transport.js';
import { DialError, type Transport } from './port.js';
import { type RabbitOptions, RabbitTransport } from './rabbitmq/transport.js';

/** Creates the transport for these URLs. For a malformed URL, the transport cannot be dialled and reports why. */
export function makeTransport(
  urls: readonly string[],
  { name, heartbeatSeconds, tls }: Pick<RabbitOptions, 'name' | 'heartbeatSeconds' | 'tls'>,
  clock: Clock,
): Transport {
  try {
    const [url = ''] = urls;
    if (urls.some(isMemoryUrl)) {
      if (urls.length > 1)
        throw new ConnectionError('INVALID_URL', 'Invalid broker URL: memory: stands alone, not in a list');
      return MemoryTransport.at(url, clock);
    }
    return new RabbitTransport(urls, { name, heartbeatSeconds, tls, clock, productVersion: VERSION });
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return {
      addresses: ['the given URL'],
      dial: () => Promise.reject(new DialError(error.code, error.message, { reachedServer: false })),
    };
  }
}
