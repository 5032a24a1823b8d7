import { ConfigurationError } from '../errors.js';
import type { AsyncApiServer } from './document.js';
import { Keys } from './keys.js';

/**
 * The servers of the document. Users, passwords and query parameters of the URLs are dropped.
 *
 * @throws ConfigurationError for an invalid URL
 */
export function serversOf(urls: Readonly<Record<string, string>>): Record<string, AsyncApiServer> {
  const keys = new Keys();
  return Object.fromEntries(
    Object.entries(urls).map(([name, url]) => [keys.take(name), serverOf(name, url)]),
  );
}

function serverOf(name: string, text: string): AsyncApiServer {
  // The text itself is not shown: it may contain a password.
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const protocol = url?.protocol.slice(0, -1) ?? '';
  const host = url?.host || (protocol === 'memory' ? 'memory' : '');
  if (url === undefined || host === '') {
    throw new ConfigurationError('servers', `asyncapi(…): the server '${name}' has no valid URL`);
  }
  return { host, protocol, ...(url.pathname === '' ? undefined : { pathname: url.pathname }) };
}
