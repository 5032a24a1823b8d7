import { isIP } from 'node:net';
import { ConnectionError } from '../../errors.js';
import { UNDEFINED_URL } from '../port.js';

/** One server to dial, parsed from its URL. */
export interface Address {
  /** The URL without its secrets, for messages and logs. */
  readonly label: string;
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  readonly settings: AddressSettings;
}

/** The connection settings in the query of a URL; absent ones are left to the broker's options or the server. */
export interface AddressSettings {
  /** Seconds, 1 to 3 600. */
  readonly heartbeat?: number;
  /** The time limit of one attempt, in milliseconds. */
  readonly connection_timeout?: number;
  /** The largest frame, in bytes, 8 192 or more: the least that RabbitMQ 4.1 accepts. */
  readonly frameMax?: number;
  /** The most channels, 1 to 65 535. */
  readonly channelMax?: number;
}

/** The parameters of the RabbitMQ URI specification that hosted services and other clients use, and their ranges. */
const PARAMETERS: Readonly<Record<string, readonly [name: keyof AddressSettings, min: number, max: number]>> =
  {
    heartbeat: ['heartbeat', 1, 3_600],
    connection_timeout: ['connection_timeout', 1, 2 ** 31 - 1],
    frameMax: ['frameMax', 8_192, 2 ** 31 - 1],
    frame_max: ['frameMax', 8_192, 2 ** 31 - 1],
    channelMax: ['channelMax', 1, 65_535],
    channel_max: ['channelMax', 1, 65_535],
  };

/**
 * Parses an AMQP URL (https://www.rabbitmq.com/docs/uri-spec).
 *
 * @throws ConnectionError with the code INVALID_URL. Neither the URL nor the parser's error is in the message: both can
 * contain a password.
 */
export function parseAddress(text: string): Address {
  if (text === UNDEFINED_URL) {
    throw invalid(
      'it is undefined, perhaps an environment variable that is not set; without an argument it is amqp://localhost',
    );
  }
  const url = tryParse(text);
  if (!url) throw invalid(`it is not a URL. ${ENCODE_PASSWORD}`);
  if (url.protocol !== 'amqp:' && url.protocol !== 'amqps:') {
    throw invalid(`its scheme is '${url.protocol.slice(0, 20)}'`);
  }
  // Without this, 'amqp:user:password@host' and a password with a '/' would be taken for the name of a virtual host, and
  // shown.
  if (!/^\s*amqps?:\/\//i.test(text)) throw invalid("its scheme is not followed by '//'");
  if (url.pathname.includes('@')) {
    throw invalid("an '@' in the name of a virtual host is written as %40, and a '/' in a password as %2F");
  }
  if (url.hash !== '') throw invalid(`it has a fragment, which begins with '#'. ${ENCODE_PASSWORD}`);
  const settings = settingsOf(url);
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
    settings,
  };
}

const ENCODE_PASSWORD =
  'The likely fault is a password with one of / ? # [ ] @ : % in it: percent-encode it, with encodeURIComponent(password)';

/** Parses the query of a URL. Its values are never shown, because a password that is not encoded can end up there. */
function settingsOf(url: URL): AddressSettings {
  const settings: Partial<Record<keyof AddressSettings, number>> = {};
  for (const [key, text] of url.searchParams) {
    const parameter = Object.hasOwn(PARAMETERS, key) ? PARAMETERS[key] : undefined;
    if (!parameter) {
      const known = Object.keys(PARAMETERS).join(', ');
      throw invalid(
        `its query has a parameter that is not known (${known}). Other settings are options of the broker. ${ENCODE_PASSWORD}`,
      );
    }
    const [name, min, max] = parameter;
    const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw invalid(`its parameter '${key}' must be a whole number from ${min} to ${max}`);
    settings[name] = value;
  }
  return settings;
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
    throw invalid(`its ${part} has a '%' that does not begin an escape. ${ENCODE_PASSWORD}`);
  }
}

function invalid(reason: string): ConnectionError {
  return new ConnectionError(
    'INVALID_URL',
    `Invalid broker URL: ${reason}. Expected amqp://user:password@host:port/vhost, or amqps: for TLS`,
  );
}
