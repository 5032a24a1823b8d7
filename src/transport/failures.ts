import { TransportError } from './port.js';

/** The class of a failure of a channel, a link or a request. Callers switch on this, and never on codes or texts. */
export type Failure =
  /** The connection or the channel ended, or no answer came: nothing was refused, and the request may succeed on the next link. */
  | 'lost'
  /** The queue or the exchange does not exist. */
  | 'missing'
  /** The queue exists, and comes back with its node or its supervisor. */
  | 'unavailable'
  /** The user lacks a permission, or the name is reserved for the server. */
  | 'access'
  /** Another consumer of the queue is exclusive. */
  | 'exclusive'
  /** The queue is exclusive and belongs to another connection. */
  | 'locked'
  /** The message is larger than the server allows. */
  | 'too-large'
  /** A queue or an exchange exists with other arguments, or cannot have these. */
  | 'mismatch'
  /** The server denies queues that are neither durable nor exclusive. */
  | 'transient-denied'
  /** This version of the server, or its configuration, does not have the feature. */
  | 'unsupported'
  /** The connection, or the user, has as many channels as it may have. */
  | 'no-channel'
  /** The server refused the request for another reason. */
  | 'refused';

interface FailureRow {
  readonly failure: Failure;
  /** The reply codes of AMQP 0-9-1, section 1.8 of its reference. */
  readonly codes: readonly number[];
  /** A pattern for the server's text. Without it, every text matches. */
  readonly text?: RegExp;
  /** Where RabbitMQ, or the specification, says so. */
  readonly source: string;
}

/** The words of a mismatch: which argument differs, and both values. */
const INEQUIVALENT = /inequivalent arg '([^']+)' for .*: received (.+?) but current is (.+)$/s;

/** The words for a message that is too large: its size, and the limit. */
const TOO_LARGE = /message size (\d+) is larger than (?:configured )?max size (\d+)/;

/** The quotation of the server in amqplib's texts (lib/format.js, closeMessage). */
const QUOTED = /with message "(.*)"$/s;

/** The classes of the server's refusals: the first row that fits. The texts are the same from RabbitMQ 3.10 to 4.3. */
const FAILURES: readonly FailureRow[] = [
  {
    failure: 'exclusive',
    codes: [403],
    text: /in exclusive use/,
    source: 'rabbit_classic_queue:consume (4.x), rabbit_channel (3.x): "~ts in exclusive use"',
  },
  {
    failure: 'access',
    codes: [403],
    source: 'rabbit_access_control:check_resource_access, rabbit_channel:check_not_default_exchange',
  },
  {
    failure: 'unavailable',
    codes: [404],
    text: /is down or inaccessible|is stopped by supervisor|due to timeout/,
    source: 'rabbit_amqqueue:priv_absent: nodedown, stopped, timeout',
  },
  {
    // Also of a stream that was declared a moment ago (measured on 3.10).
    failure: 'unavailable',
    codes: [406],
    text: /does not have a (?:running )?replica on the local node/,
    source: 'rabbit_stream_queue:check_queue_exists_in_local_node (3.x), rabbit_stream_queue:consume',
  },
  { failure: 'missing', codes: [404], source: 'rabbit_amqqueue:not_found, rabbit_exchange:lookup_or_die' },
  { failure: 'locked', codes: [405], source: 'rabbit_amqqueue:check_exclusive_access' },
  {
    failure: 'too-large',
    codes: [406],
    text: TOO_LARGE,
    source: 'rabbit_channel:check_msg_size, rabbit_basic:check_msg_size (3.8)',
  },
  {
    failure: 'mismatch',
    codes: [406],
    source: 'rabbit_misc:assert_args_equivalence1, rabbit_amqqueue:check_declare_arguments',
  },
  {
    failure: 'transient-denied',
    codes: [540, 541],
    text: /transient_nonexcl_queues/,
    source: 'rabbit_amqqueue:declare, where the deprecated feature transient_nonexcl_queues is denied',
  },
  {
    failure: 'unsupported',
    codes: [541],
    text: /^Feature `|- Feature `/m,
    source: 'rabbit_deprecated_features:get_warning, sent as an internal error (measured on 4.3)',
  },
  {
    failure: 'unsupported',
    codes: [503, 540],
    source: 'rabbit_exchange:check_type (503, before 4.3), rabbit_stream_queue:purge (540)',
  },
  {
    failure: 'no-channel',
    codes: [530],
    text: /number of channels opened/,
    source: 'rabbit_reader:create_channel: of a connection, a user or a node',
  },
  {
    failure: 'lost',
    codes: [320, 402, 501, 502, 504, 505, 506, 541],
    source: 'AMQP 0-9-1, 1.8: hard errors, which end the connection without being about one request',
  },
];

/**
 * The class of an error from the transport.
 *
 * @param error - a `TransportError`, or an error of amqplib with the reply code of the server
 * @returns undefined for every other error
 */
export function classify(error: unknown): Failure | undefined {
  if (!(error instanceof Error)) return undefined;
  const replyCode = replyCodeOf(error);
  if (error instanceof TransportError && error.isExhausted) return 'no-channel';
  if (replyCode === undefined) return error instanceof TransportError ? 'lost' : undefined;
  const words = serverWords(error);
  const row = FAILURES.find(({ codes, text }) => codes.includes(replyCode) && (!text || text.test(words)));
  return row?.failure ?? 'refused';
}

/** The reply code of the server: a property of our errors, and of those of amqplib. */
export function replyCodeOf(error: Error): number | undefined {
  const { code, replyCode = code } = error as { readonly code?: unknown; readonly replyCode?: unknown };
  return typeof replyCode === 'number' ? replyCode : undefined;
}

/** The server's own words, without amqplib's words around them. */
export function serverWords({ message }: Error): string {
  return QUOTED.exec(message)?.[1] ?? message;
}

/** The argument of a queue or an exchange that differs in a `mismatch`, with both values; undefined if the server names none. */
export function differenceOf(
  error: Error,
): { readonly argument: string; readonly declared: string; readonly existing: string } | undefined {
  const match = INEQUIVALENT.exec(serverWords(error));
  if (!match) return undefined;
  const [, argument = '', declared = '', existing = ''] = match;
  return { argument, declared, existing };
}

/** The argument that the server finds invalid for a queue or a consumer; undefined if it names none. */
export function invalidArgumentOf(error: Error): string | undefined {
  return /invalid arg '([^']+)'/.exec(serverWords(error))?.[1];
}

/** The argument of a queue that is named like the feature of an `unsupported`; undefined if the server names none. */
export function unsupportedArgumentOf(error: Error): string | undefined {
  const feature = /Feature `(\w+)`/.exec(serverWords(error))?.[1];
  return feature && `x-${feature.replaceAll('_', '-')}`;
}

/** The sizes in a `too-large`. */
export function sizesOf({ message }: Error): { readonly sizeBytes: number; readonly limitBytes: number } {
  const [, size, limit] = TOO_LARGE.exec(message) ?? [];
  return { sizeBytes: Number(size), limitBytes: Number(limit) };
}

/** Why an address could not be connected to. */
export type DialFailure =
  /** No server answered at the address. */
  | 'unreached'
  /** TLS was refused, by either side. */
  | 'tls'
  /** The server refused the credentials, or the way in which they are given. */
  | 'credentials'
  /** The server refused the virtual host: {@link classifyVhostRefusal} says why. */
  | 'vhost'
  /** The connection broke off. */
  | 'broken';

interface DialFailureRow {
  readonly failure: DialFailure;
  /** The code of the error, as Node names it. */
  readonly code?: RegExp;
  /** A pattern for the text of the error. */
  readonly text?: RegExp;
  readonly source: string;
}

/** The first row that fits by its code or by its text. */
const DIAL_FAILURES: readonly DialFailureRow[] = [
  {
    failure: 'unreached',
    code: /^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENOTFOUND|EAI_AGAIN|EADDRNOTAVAIL)$/,
    source: 'connect(2) and getaddrinfo(3), as Node names their errors',
  },
  {
    failure: 'tls',
    code: /^(?:ERR_TLS_|ERR_SSL_|ERR_OSSL_|EPROTO$)/,
    source: 'Node, lib/internal/errors.js; OpenSSL, by the name of its library',
  },
  {
    failure: 'tls',
    code: /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/,
    source: 'Node, src/crypto/crypto_common.cc, X509_V_ERR_…',
  },
  {
    failure: 'tls',
    code: /./,
    text: /\bSSL routines\b/,
    source: 'OpenSSL, ERR_error_string',
  },
  {
    failure: 'credentials',
    text: /ACCESS.REFUSED|\b403\b/,
    source: 'rabbit_reader:auth_fail; amqplib, lib/connection.js: "Handshake terminated by server"',
  },
  {
    failure: 'credentials',
    text: /SASL mechanism/,
    source: 'amqplib, lib/connection.js: "SASL mechanism %s is not provided by the server"',
  },
  {
    // amqplib says no more about a connection.close in this place. The server's own words are on the wire.
    failure: 'vhost',
    text: /Expected ConnectionOpenOk/,
    source: 'amqplib, lib/connection.js, the answer to connection.open: "Expected %s; got %s"',
  },
];

/**
 * The class of an error while connecting.
 *
 * @param code - of the error, as Node names it
 * @param text - of the error
 */
export function classifyDial(code: string | undefined, text: string): DialFailure {
  const fits = (pattern: RegExp | undefined, value: string) => !pattern || pattern.test(value);
  const row = DIAL_FAILURES.find((it) => fits(it.code, code ?? '') && fits(it.text, text));
  return row?.failure ?? 'broken';
}

/** Why the server refuses a virtual host. */
export type VhostRefusal =
  /** The virtual host does not exist. */
  | 'missing'
  /** The virtual host starts or stops: trying again helps. */
  | 'down'
  /** The user has no access to the virtual host. */
  | 'access'
  /** Another reason, such as a limit of connections. */
  | 'refused';

/** The first row that fits. The words are the same from RabbitMQ 3.10 to 4.3. */
const VHOST_REFUSALS: readonly {
  readonly refusal: VhostRefusal;
  readonly text: RegExp;
  readonly source: string;
}[] = [
  {
    refusal: 'missing',
    text: /vhost .* not found/s,
    source: 'rabbit_reader:is_over_vhost_connection_limit, which is asked first',
  },
  { refusal: 'down', text: / is down/, source: 'rabbit_reader:is_vhost_alive' },
  {
    refusal: 'access',
    text: /access to vhost .* refused for user/s,
    source: 'rabbit_access_control:check_vhost_access',
  },
];

/** @param words - the text of the server's `connection.close` */
export function classifyVhostRefusal(words: string): VhostRefusal {
  return VHOST_REFUSALS.find(({ text }) => text.test(words))?.refusal ?? 'refused';
}

/** The text of a refusal on the wire. It begins with `INTERNAL_ERROR` if the virtual host is down (rabbit_reader:is_vhost_alive). */
const REFUSAL_ON_THE_WIRE = /(?:NOT_ALLOWED|INTERNAL_ERROR) - [\x20-\x7e]+/;

/** Finds the server's refusal of a virtual host among the bytes of a handshake. */
export const vhostRefusalIn = (bytes: string) => REFUSAL_ON_THE_WIRE.exec(bytes)?.[0];

/** amqplib has no code for it (lib/connection.js, freshChannel). */
export const hasNoChannelLeft = (error: unknown) => /No channels left to allocate/.test(String(error));
