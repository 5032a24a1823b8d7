/**
 * Every error that Leveret creates: one branded base class, literal codes, and the cause preserved.
 *
 * The brand is a registered symbol, so the ESM copy of the package recognises errors of the CommonJS copy and vice versa.
 */

const BRAND = Symbol.for('leveret.error');

/** The page that lists every code with its cause and its remedy. */
export const ERRORS_PAGE = 'https://github.com/leveret-mq/leveret/blob/main/docs/errors.md';

/** Every value of {@link LeveretError.code}. */
export type ErrorCode =
  | ValidationErrorCode
  | 'MESSAGE_TOO_LARGE'
  | 'UNROUTABLE'
  | 'REJECTED'
  | 'TIMEOUT'
  | 'CLOSED'
  | 'BUFFER_FULL'
  | ConfigurationErrorCode
  | 'REMOTE'
  | ConnectionErrorCode
  | TopologyErrorCode;

/** Every value of {@link ConnectionError.code}. */
export type ConnectionErrorCode =
  | 'CONNECTION_FAILED'
  | 'ACCESS_REFUSED'
  | 'VHOST_NOT_FOUND'
  | 'TLS_REFUSED'
  | 'INVALID_URL';

/** Every value of {@link ValidationError.code}. */
export type ValidationErrorCode = 'INVALID_BODY' | 'INVALID_KEY';

/** Every value of {@link ConfigurationError.code}. */
export type ConfigurationErrorCode = 'INVALID_OPTION' | 'SCHEMA_VERSION';

/** Every value of {@link TopologyError.code}. */
export type TopologyErrorCode = 'MISMATCH' | 'NOT_FOUND' | 'ACCESS_REFUSED';

/** One problem that a schema found in a body. */
export interface Issue {
  /** What is wrong, in the schema's words. */
  readonly message: string;
  /** The path of keys from the body's root. Empty for the body as a whole. */
  readonly path: readonly (string | number)[];
}

/** The base class of every error that Leveret throws or rejects with. */
export abstract class LeveretError extends Error {
  /** What went wrong, as a literal to switch on. */
  abstract readonly code: ErrorCode;
  /** True when the same call may succeed later without a change to the program or to the server's configuration. */
  readonly retryable: boolean;
  /** The address of the documentation of this `code`: its cause and its remedy. */
  readonly help: string;

  /** @internal */
  constructor(
    name: string,
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; retryable?: boolean } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.retryable = options.retryable ?? false;
    // A property of the error itself, so that Node prints it, and loggers copy it.
    this.help = `${ERRORS_PAGE}#${code.toLowerCase()}`;
    Object.defineProperty(this, 'name', { value: name, configurable: true, writable: true });
    Object.defineProperty(this, BRAND, { value: true });
  }

  /** `instanceof` also works between the ESM and the CommonJS copy of the package. */
  static override [Symbol.hasInstance](
    this: { prototype: unknown; className?: string },
    value: unknown,
  ): boolean {
    if (!isLeveretError(value)) return false;
    if (Function.prototype[Symbol.hasInstance].call(this, value)) return true;
    if (!Object.hasOwn(this, 'className')) return false;
    return this.className === 'LeveretError' || value.name === this.className;
  }

  /** @internal */
  static readonly className: string = 'LeveretError';
}

/** Every error class of Leveret. Their `code` tells them apart. */
export type AnyLeveretError =
  | ValidationError
  | MessageTooLargeError
  | UnroutableError
  | RejectedError
  | TimeoutError
  | ClosedError
  | BufferFullError
  | ConfigurationError
  | ConnectionError
  | TopologyError
  | RemoteError;

/**
 * True for every error that Leveret made, whichever copy of the package made it. Its `code` then says what else can be read.
 *
 * @example
 * ```ts
 * try {
 *   await broker.producer(emails).send({ to: 'nowhere', subject: 'Hello' });
 * } catch (error) {
 *   if (isLeveretError(error) && error.code === 'INVALID_BODY') console.log(error.issues);
 * }
 * ```
 * @param value - anything, typically what a `catch` caught
 */
export function isLeveretError(value: unknown): value is AnyLeveretError {
  try {
    return typeof value === 'object' && value !== null && BRAND in value;
  } catch {
    // A proxy whose traps throw.
    return false;
  }
}

/**
 * The body does not match the contract's schema, or is not JSON: nothing was sent. INVALID_KEY: a message's id cannot be
 * stored by the inbox or the idempotency store.
 */
export class ValidationError extends LeveretError {
  static override readonly className = 'ValidationError';
  readonly code: ValidationErrorCode;
  /** The problems that the schema reported, 20 at most. */
  readonly issues: readonly Issue[];

  /** @internal */
  constructor(
    target: string,
    issues: readonly Issue[],
    options: { cause?: unknown; code?: ValidationErrorCode } = {},
  ) {
    const { code = 'INVALID_BODY', ...rest } = options;
    const what = code === 'INVALID_BODY' ? 'Invalid body' : 'Invalid idempotency key';
    super('ValidationError', code, `${what} for ${target}: ${describeIssues(issues)}`, rest);
    this.code = code;
    this.issues = issues;
  }
}

/** The encoded body, or the headers, exceed a limit of this program or of the server. The message is in no queue. */
export class MessageTooLargeError extends LeveretError {
  static override readonly className = 'MessageTooLargeError';
  readonly code = 'MESSAGE_TOO_LARGE' as const;
  /** The actual size, in bytes. */
  readonly sizeBytes: number;
  /** The limit, in bytes. */
  readonly limitBytes: number;

  /** @internal */
  constructor(message: string, sizeBytes: number, limitBytes: number) {
    super('MessageTooLargeError', 'MESSAGE_TOO_LARGE', message);
    this.sizeBytes = sizeBytes;
    this.limitBytes = limitBytes;
  }
}

/** No queue received the message: the server returned it. */
export class UnroutableError extends LeveretError {
  static override readonly className = 'UnroutableError';
  readonly code = 'UNROUTABLE' as const;
  /** The exchange that the message was sent to; empty for the default exchange. */
  readonly exchange: string;
  /** The routing key that the message was sent with; for the default exchange, the queue's name. */
  readonly routingKey: string;

  /** @internal */
  constructor(message: string, exchange: string, routingKey: string) {
    super('UnroutableError', 'UNROUTABLE', message);
    this.exchange = exchange;
    this.routingKey = routingKey;
  }
}

/** The server refused the message with `basic.nack`: the queue is full, or could not store the message. */
export class RejectedError extends LeveretError {
  static override readonly className = 'RejectedError';
  readonly code = 'REJECTED' as const;

  /** @internal */
  constructor(message: string) {
    super('RejectedError', 'REJECTED', message, { retryable: true });
  }
}

/** The operation did not finish before its deadline. */
export class TimeoutError extends LeveretError {
  static override readonly className = 'TimeoutError';
  readonly code = 'TIMEOUT' as const;
  /** For a send or a request: false when no part of the message can have reached the server. */
  readonly maybeDelivered: boolean;

  /** @internal */
  constructor(message: string, options: { maybeDelivered?: boolean; cause?: unknown } = {}) {
    super('TimeoutError', 'TIMEOUT', message, { ...options, retryable: true });
    this.maybeDelivered = options.maybeDelivered ?? false;
  }
}

/** The broker, producer or consumer was closed, or could not be started. */
export class ClosedError extends LeveretError {
  static override readonly className = 'ClosedError';
  readonly code = 'CLOSED' as const;
  /** For a send or a request: false when no part of the message can have reached the server. */
  readonly maybeDelivered: boolean;

  /** @internal */
  constructor(message: string, options: { maybeDelivered?: boolean; cause?: unknown } = {}) {
    super('ClosedError', 'CLOSED', message, options);
    this.maybeDelivered = options.maybeDelivered ?? false;
  }
}

/** The buffer already holds too many messages, or too many bytes. This message was not accepted. */
export class BufferFullError extends LeveretError {
  static override readonly className = 'BufferFullError';
  readonly code = 'BUFFER_FULL' as const;

  /** @internal */
  constructor(message: string) {
    super('BufferFullError', 'BUFFER_FULL', message, { retryable: true });
  }
}

/**
 * An option or a contract is wrong: unknown, out of range, or in conflict with another one. SCHEMA_VERSION: a database table
 * is missing or has another version.
 */
export class ConfigurationError extends LeveretError {
  static override readonly className = 'ConfigurationError';
  readonly code: ConfigurationErrorCode;
  /** The option's name, as a path. */
  readonly option: string;

  /** @internal */
  constructor(
    option: string,
    message: string,
    options: { cause?: unknown; code?: ConfigurationErrorCode } = {},
  ) {
    const { code = 'INVALID_OPTION', ...rest } = options;
    super('ConfigurationError', code, message, rest);
    this.code = code;
    this.option = option;
  }
}

/** The connection could not be opened, or was refused. The message never contains a password. */
export class ConnectionError extends LeveretError {
  static override readonly className = 'ConnectionError';
  readonly code: ConnectionErrorCode;
  /** Every address that was tried, and why it failed. */
  readonly attempts: readonly { readonly address: string; readonly reason: string }[];
  /** For a request: true when the request was sent, so a responder may have processed it. */
  readonly maybeDelivered: boolean;

  /** @internal */
  constructor(
    code: ConnectionErrorCode,
    message: string,
    options: {
      cause?: unknown;
      attempts?: readonly { address: string; reason: string }[];
      maybeDelivered?: boolean;
    } = {},
  ) {
    super('ConnectionError', code, message, { ...options, retryable: code === 'CONNECTION_FAILED' });
    this.code = code;
    this.attempts = options.attempts ?? [];
    this.maybeDelivered = options.maybeDelivered ?? false;
  }
}

/** One thing in which a queue or an exchange differs from its contract. */
export interface TopologyDifference {
  /** The name of the argument or property in AMQP, such as `x-max-length`. */
  readonly argument: string;
  /** The option of the contract that it comes from, such as `maxLength`. */
  readonly option: string;
  /** The value that this program declares, in the words of the server. */
  readonly declared: string;
  /** The value that exists on the server, in its words. */
  readonly existing: string;
  /** What to write in the contract so that it declares what exists, such as `maxLength: 100`. */
  readonly advice: string;
}

/** A queue or an exchange could not be declared, or is missing. */
export class TopologyError extends LeveretError {
  static override readonly className = 'TopologyError';
  readonly code: TopologyErrorCode;
  /** The name of the queue or exchange; for a binding, the name of the bound one. */
  readonly target: string;
  /** For MISMATCH: the argument that differs, if the server names it. */
  readonly argument: string | undefined;
  /** For MISMATCH: the value that this program declares. */
  readonly declared: string | undefined;
  /** For MISMATCH: the value that exists on the server. */
  readonly existing: string | undefined;
  /** For MISMATCH: everything that differs, with what to write in the contract. Empty if the server names nothing. */
  readonly differences: readonly TopologyDifference[];

  /** @internal */
  constructor(
    code: TopologyErrorCode,
    target: string,
    message: string,
    options: {
      cause?: unknown;
      argument?: string;
      declared?: string;
      existing?: string;
      differences?: readonly TopologyDifference[];
    } = {},
  ) {
    super('TopologyError', code, message, options);
    this.code = code;
    this.target = target;
    this.argument = options.argument;
    this.declared = options.declared;
    this.existing = options.existing;
    this.differences = options.differences ?? [];
  }
}

/**
 * A responder failed: the request did not match its schema, its handler threw, or its response was invalid. `message` is the
 * message of the responder's error; its stack is not transferred.
 */
export class RemoteError extends LeveretError {
  static override readonly className = 'RemoteError';
  readonly code = 'REMOTE' as const;
  /**
   * The `code` of the responder's error, or its name if it has no code. `INVALID_BODY` when the request or the response did
   * not match its schema.
   */
  readonly remoteCode: string;

  /** @internal */
  constructor(remoteCode: string, message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super('RemoteError', 'REMOTE', message, options);
    this.remoteCode = remoteCode;
  }
}

/** @internal The message of an error, whatever was thrown. Never throws. */
export function messageOf(error: unknown): string {
  try {
    const { message } = Object(error) as { readonly message?: unknown };
    return typeof message === 'string' ? message : String(error instanceof Error ? message : error);
  } catch {
    return 'an error that cannot be shown';
  }
}

function describeIssues(issues: readonly Issue[]): string {
  const shown = issues.slice(0, 3).map((issue) => {
    const path = issue.path.length === 0 ? '' : `${issue.path.join('.')}: `;
    return path + issue.message;
  });
  const more = issues.length - shown.length;
  return shown.join('; ') + (more > 0 ? ` (and ${more} more)` : '');
}
