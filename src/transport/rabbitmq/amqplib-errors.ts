import type { ConnectionErrorCode } from '../../errors.js';
import { DialError, TransportError } from '../port.js';
import type { Address } from './address.js';

/** The address did not respond: trying again soon costs no server anything. */
const UNREACHED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EADDRNOTAVAIL',
]);

/**
 * Converts a failure to connect, in whatever form amqplib or Node reports it.
 *
 * @param serverWords - the text of the server's last `connection.close`, if it could be read
 */
export function dialFailure(error: unknown, address: Address, serverWords: string | undefined): DialError {
  if (error instanceof DialError) return error;
  const { code, text } = describe(error);
  if (code !== undefined && UNREACHED.has(code)) {
    return new DialError('CONNECTION_FAILED', text, { reachedServer: false, cause: error });
  }
  if (isTlsRefusal(code, text)) {
    return new DialError('TLS_REFUSED', text, { reachedServer: true, cause: error });
  }
  if (/ACCESS.REFUSED|\b403\b|SASL mechanism/.test(text)) {
    const reason = `the server refused the credentials (${text})`;
    return new DialError('ACCESS_REFUSED', reason, { reachedServer: true, cause: error });
  }
  if (/Expected ConnectionOpenOk/.test(text)) {
    // amqplib reports no more than this about a connection.close at this point; the server's own words are on the wire.
    const reason =
      serverWords ?? 'it is unknown, the user has no access to it, or a connection limit is reached';
    const message = `the server refused the virtual host '${address.vhost}': ${reason}`;
    return new DialError(vhostRefusal(serverWords), message, { reachedServer: true, cause: error });
  }
  return new DialError('CONNECTION_FAILED', text, { reachedServer: true, cause: error });
}

function vhostRefusal(serverWords: string | undefined): ConnectionErrorCode {
  if (serverWords === undefined || /not found/.test(serverWords)) return 'VHOST_NOT_FOUND';
  // The virtual host exists, and is starting or stopping: trying again helps.
  return / is down/.test(serverWords) ? 'CONNECTION_FAILED' : 'ACCESS_REFUSED';
}

/** Converts an error of amqplib to one of ours: the reply code is a property, or stands in the text. */
export function toTransportError(error: unknown, fallback = 'the channel is closed'): TransportError {
  if (error instanceof TransportError) return error;
  if (!(error instanceof Error)) return new TransportError(fallback, { cause: error });
  const { code } = error as { code?: unknown };
  return new TransportError(error.message || fallback, {
    replyCode: typeof code === 'number' ? code : undefined,
    cause: error,
  });
}

function describe(error: unknown): { code: string | undefined; text: string } {
  if (!(error instanceof Error)) return { code: undefined, text: String(error) };
  // Several addresses of one host name failed: the message of the aggregate is empty.
  if (error instanceof AggregateError) {
    const parts = error.errors.map(describe);
    return { code: parts[0]?.code, text: [...new Set(parts.map((part) => part.text))].join(', ') };
  }
  const { code } = error as { code?: unknown };
  const name = typeof code === 'string' ? code : undefined;
  const text = (error.message || name || error.name).replaceAll(/\s+/g, ' ').trim();
  return { code: name, text: name && !text.includes(name) ? `${text} (${name})` : text };
}

function isTlsRefusal(code: string | undefined, text: string): boolean {
  if (code === undefined) return false;
  if (code.startsWith('ERR_TLS_') || code.startsWith('ERR_SSL_') || code.startsWith('ERR_OSSL_')) return true;
  if (
    /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/.test(code)
  )
    return true;
  return code === 'EPROTO' || /\bSSL routines\b/.test(text);
}
