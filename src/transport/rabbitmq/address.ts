import { isIP } from 'node:net';
import { ConnectionError } from '../../errors.js';

/** One server to dial, taken apart from its URL. */
export interface Address {
  /** The URL without its secrets: what messages and logs may show. */
  readonly label: string;
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
}

/**
 * Takes an AMQP URL apart (https://www.rabbitmq.com/docs/uri-spec).
 *
 * @throws ConnectionError with the code INVALID_URL. The URL itself is not in the message, nor the parser's error: both can
 * hold a password.
 */
export function parseAddress(text: string): Address {
  const url = tryParse(text);
  if (!url) throw invalid('it is not a URL');
  if (url.protocol !== 'amqp:' && url.protocol !== 'amqps:') {
    throw invalid(`its scheme is '${url.protocol.slice(0, 20)}'`);
  }
  // Without this, 'amqp:user:password@host' and a password with a '/' would be taken for the name of a virtual host, and shown.
  if (!/^\s*amqps?:\/\//i.test(text)) throw invalid("its scheme is not followed by '//'");
  if (url.pathname.includes('@')) {
    throw invalid("an '@' in the name of a virtual host is written as %40, and a '/' in a password as %2F");
  }
  const [parameter] = url.searchParams.keys();
  if (parameter !== undefined || url.hash !== '') {
    throw invalid('it has a query or a fragment; settings are passed as options of the broker instead');
  }
  const vhost = decode(url.pathname.replace(/^\//, ''), 'virtual host');
  if (url.pathname.slice(1).includes('/'))
    throw invalid("a '/' inside the name of a virtual host is written as %2F");
  const secure = url.protocol === 'amqps:';
  const hostname = url.hostname.replace(/^\[|\]$/g, '') || 'localhost';
  const port = url.port === '' ? (secure ? 5671 : 5672) : Number(url.port);
  const anonymous = url.username === '' && url.password === '';
  return {
    label: `${url.protocol}//${isIP(hostname) === 6 ? `[${hostname}]` : hostname}:${port}${vhost === '' ? '' : `/${encodeURIComponent(vhost)}`}`,
    secure,
    hostname,
    port,
    username: anonymous ? 'guest' : decode(url.username, 'user name'),
    password: anonymous ? 'guest' : decode(url.password, 'password'),
    vhost: vhost === '' ? '/' : vhost,
  };
}

function tryParse(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

function decode(text: string, part: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid(`its ${part} has a '%' that does not begin an escape`);
  }
}

function invalid(reason: string): ConnectionError {
  return new ConnectionError(
    'INVALID_URL',
    `Invalid broker URL: ${reason}. Expected amqp://user:password@host:port/vhost, or amqps: for TLS`,
  );
}
