import type { ConnectionErrorCode } from '../../errors.js';
import { classify, classifyDial, classifyVhostRefusal, replyCodeOf, serverWords } from '../failures.js';
import { DialError, TransportError } from '../port.js';
import type { Address } from './address.js';

/**
 * Converts a failure to connect, in whatever form amqplib or Node reports it.
 *
 * @param vhostWords - the text with which the server refused the virtual host, when it could be read
 * @param mayExpectTls - the server may expect TLS at a port that was dialled without
 */
export function dialFailure(
  error: unknown,
  address: Address,
  vhostWords: string | undefined,
  mayExpectTls = false,
): DialError {
  if (error instanceof DialError) return error;
  const { code, text } = describe(error);
  const dialError = (code: ConnectionErrorCode, message: string, reachedServer = true) =>
    new DialError(code, message, { reachedServer, cause: error });
  switch (classifyDial(code, text)) {
    case 'unreached':
      return dialError('CONNECTION_FAILED', text, false);
    case 'tls':
      return dialError('TLS_REFUSED', withTlsHint(text));
    case 'credentials':
      return dialError('ACCESS_REFUSED', `the server refused the credentials (${text})`);
    case 'vhost': {
      const reason =
        vhostWords ?? 'it is unknown, the user has no access to it, or a connection limit is reached';
      const message = `the server refused the virtual host '${address.vhost}': ${reason}`;
      return dialError(vhostCode(vhostWords), message);
    }
    case 'broken':
      return dialError('CONNECTION_FAILED', mayExpectTls ? withPlainHint(text) : text);
  }
}

function withPlainHint(text: string): string {
  return `${text}. If the server speaks TLS at this port, use amqps: in place of amqp:`;
}

/** Adds a hint to OpenSSL's words for an answer that is not TLS, such as that of an AMQP port. */
function withTlsHint(text: string): string {
  if (!/wrong version number|packet length too long/i.test(text)) return text;
  return `the server does not speak TLS at this port: use its port for TLS, 5671 by default, or amqp: in place of amqps: (${text})`;
}

function vhostCode(words: string | undefined): ConnectionErrorCode {
  if (words === undefined) return 'VHOST_NOT_FOUND';
  switch (classifyVhostRefusal(words)) {
    case 'missing':
      return 'VHOST_NOT_FOUND';
    case 'down':
      return 'CONNECTION_FAILED';
    case 'access':
    case 'refused':
      return 'ACCESS_REFUSED';
  }
}

/** Converts an error of amqplib to one of ours, with its reply code if it has one. */
export function toTransportError(error: unknown, fallback = 'the channel is closed'): TransportError {
  if (error instanceof TransportError) return error;
  if (!(error instanceof Error)) return new TransportError(fallback, { cause: error });
  return new TransportError(error.message || fallback, { replyCode: replyCodeOf(error), cause: error });
}

/**
 * The refusal of a channel beyond those that an administrator allows a user, over all of its connections: the server closes the
 * connection over it. Undefined when the connection ended for another reason.
 */
export function userLimitReached(reason: Error): TransportError | undefined {
  if (classify(reason) !== 'no-channel') return undefined;
  const replyCode = replyCodeOf(reason);
  return new TransportError(serverWords(reason), { replyCode, isExhausted: true, cause: reason });
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
