import { parseAddress } from '../transport/rabbitmq/address.js';
import type { OptionSpecs, OptionValues } from './arguments.js';
import { usageError } from './failure.js';
import type { Secrets } from './secrets.js';

/** The server, and the user. */
export interface Where {
  /** The AMQP URL, with its password: must never be printed. */
  readonly url: string;
  /** The same without user and password. */
  readonly label: string;
  readonly secure: boolean;
  readonly hostname: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  readonly vhost: string;
  readonly management: ManagementAddress;
}

/** The management API, and its user. */
export interface ManagementAddress {
  /** Scheme, host, port and path, without a slash at the end. */
  readonly base: string;
  readonly username: string;
  readonly password: string;
}

export const whereOptions = {
  url: {
    type: 'string',
    value: 'URL',
    help: 'the server: amqp://user:password@host:port/vhost, or amqps:. Default: RABBITMQ_URL, else amqp://localhost',
  },
  'management-url': {
    type: 'string',
    value: 'URL',
    help: 'its management API. Default: RABBITMQ_MANAGEMENT_URL, else port 15672 (amqps: 15671) of the same host',
  },
} as const satisfies OptionSpecs;

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws CommandFailure for an invalid URL. No message repeats any part of it */
export function resolveWhere(
  values: OptionValues,
  env: Environment,
  secrets: Secrets,
  positional?: string,
): Where {
  const given = values.text('url');
  if (given !== undefined && positional !== undefined) throw usageError('the URL is given twice');
  const url = given ?? positional ?? (env.RABBITMQ_URL || 'amqp://localhost');
  const address = addressOf(url);
  secrets.add(address.password, address.username);
  const { label, secure, hostname, port, username, password, vhost } = address;
  const management = values.text('management-url') ?? (env.RABBITMQ_MANAGEMENT_URL || undefined);
  const resolved: ManagementAddress =
    management === undefined
      ? { base: defaultManagement(secure, hostname), username, password }
      : managementOf(management, { username, password });
  secrets.add(resolved.password, resolved.username);
  return { url, label, secure, hostname, port, username, password, vhost, management: resolved };
}

function addressOf(url: string) {
  try {
    return parseAddress(url);
  } catch (error) {
    throw usageError((error as Error).message);
  }
}

function defaultManagement(secure: boolean, hostname: string): string {
  const host = hostname.includes(':') ? `[${hostname}]` : hostname;
  return secure ? `https://${host}:15671` : `http://${host}:15672`;
}

function managementOf(
  text: string,
  other: { readonly username: string; readonly password: string },
): ManagementAddress {
  const wrong = (why: string) =>
    usageError(`Invalid management URL: ${why}. Expected http://user:password@host:port, or https:`);
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw wrong('it is not a URL');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw wrong('its scheme is another one');
  if (url.pathname.includes('@')) throw wrong("a '/' or an '@' in a password is percent-encoded");
  const base = `${url.origin}${url.pathname.replace(/\/+$/, '').replace(/\/api$/, '')}`;
  if (url.username === '' && url.password === '') return { base, ...other };
  try {
    return {
      base,
      username: decodeURIComponent(url.username),
      password: decodeURIComponent(url.password),
    };
  } catch {
    throw wrong("it has a '%' that does not begin an escape");
  }
}
