import { TransportError } from '../port.js';

const NAMES = {
  403: 'ACCESS_REFUSED',
  404: 'NOT_FOUND',
  405: 'RESOURCE_LOCKED',
  406: 'PRECONDITION_FAILED',
  503: 'COMMAND_INVALID',
  530: 'NOT_ALLOWED',
  540: 'NOT_IMPLEMENTED',
} as const;

/** The reply codes that close the whole connection; the others close only the channel. */
const HARD: ReadonlySet<number> = new Set([503, 530, 540]);

/** Why the server refuses something, with RabbitMQ's reply code and words. */
export class ServerRefusalError extends Error {
  readonly replyCode: keyof typeof NAMES;

  constructor(replyCode: keyof typeof NAMES, text: string) {
    super(`${NAMES[replyCode]} - ${text}`);
    this.replyCode = replyCode;
  }

  get closesLink(): boolean {
    return HARD.has(this.replyCode);
  }

  /** The error that a client receives. */
  toTransportError(): TransportError {
    const name = NAMES[this.replyCode].replaceAll('_', '-');
    const what = this.closesLink ? 'Connection closed' : 'Channel closed by server';
    const message = `${what}: ${this.replyCode} (${name}) with message "${this.message}"`;
    return new TransportError(message, { replyCode: this.replyCode });
  }
}

export function noQueue(name: string): ServerRefusalError {
  return new ServerRefusalError(404, `no queue '${name}' in vhost '/'`);
}

export function noExchange(name: string): ServerRefusalError {
  return new ServerRefusalError(404, `no exchange '${name}' in vhost '/'`);
}

export function lockedQueue(name: string): ServerRefusalError {
  return new ServerRefusalError(
    405,
    `cannot obtain exclusive access to locked queue '${name}' in vhost '/'. It could be originally declared on another ` +
      `connection or the exclusive property value does not match that of the original declaration.`,
  );
}

export function queueInUse(name: string): ServerRefusalError {
  return new ServerRefusalError(403, `queue '${name}' in vhost '/' in exclusive use`);
}
