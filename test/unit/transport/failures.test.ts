import { describe, expect, it } from 'vitest';
import { ConnectionError } from '../../../src/errors.js';
import {
  classify,
  classifyDial,
  classifyVhostRefusal,
  type DialFailure,
  differenceOf,
  type Failure,
  hasNoChannelLeft,
  serverWords,
  sizesOf,
  type VhostRefusal,
  vhostRefusalIn,
} from '../../../src/transport/failures.js';
import { channelsExhausted, TransportError } from '../../../src/transport/port.js';

/** What the server said, in the frame that amqplib puts around it. */
const refusal = (replyCode: number, words: string) =>
  new TransportError(`Channel closed by server: ${replyCode} (NAME) with message "${words}"`, { replyCode });

const classes: readonly (readonly [replyCode: number, words: string, failure: Failure])[] = [
  [
    403,
    "ACCESS_REFUSED - configure access to queue 'q' in vhost '/' refused for user 'ada' by backend rabbit_auth_backend_internal",
    'access',
  ],
  [403, "ACCESS_REFUSED - queue name 'amq.x' contains reserved prefix 'amq.*'", 'access'],
  [403, "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use", 'exclusive'],
  [404, "NOT_FOUND - no queue 'q' in vhost '/'", 'missing'],
  [404, "NOT_FOUND - no exchange 'e' in vhost '/'", 'missing'],
  [404, "NOT_FOUND - queue 'q' in vhost '/' has crashed and failed to restart", 'missing'],
  [
    404,
    "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible",
    'unavailable',
  ],
  [404, "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor", 'unavailable'],
  [404, "NOT_FOUND - failed to perform operation on queue 'q' in vhost '/' due to timeout", 'unavailable'],
  [
    406,
    "PRECONDITION_FAILED - queue 'queue 'q' in vhost '/'' does not have a replica on the local node",
    'unavailable',
  ],
  [
    406,
    "PRECONDITION_FAILED - stream queue 'q' in vhost '/' does not have a running replica on the local node",
    'unavailable',
  ],
  [
    405,
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be …",
    'locked',
  ],
  [
    406,
    "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'",
    'mismatch',
  ],
  [406, "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': …", 'mismatch'],
  [
    406,
    'PRECONDITION_FAILED - message size 20 is larger than configured max size 10 for message-store',
    'too-large',
  ],
  [406, 'PRECONDITION_FAILED - message size 20 is larger than max size 10', 'too-large'],
  [503, "COMMAND_INVALID - unknown exchange type 'x-delayed-message'", 'unsupported'],
  [540, "NOT_IMPLEMENTED - queue.purge not supported by stream queues queue 's' in vhost '/'", 'unsupported'],
  [541, 'INTERNAL_ERROR - Feature `global_qos` is deprecated.\nIts use is not permitted', 'unsupported'],
  [541, 'INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.', 'transient-denied'],
  [541, 'INTERNAL_ERROR', 'lost'],
  [320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'", 'lost'],
  [501, 'FRAME_ERROR - type 2, all octets = <<>>: {frame_too_large,200,100}', 'lost'],
  [504, 'CHANNEL_ERROR - unexpected method in connection state running', 'lost'],
  [
    530,
    "NOT_ALLOWED - number of channels opened for user 'ada' has reached the maximum allowed user limit of (5)",
    'no-channel',
  ],
  [
    530,
    'NOT_ALLOWED - number of channels opened (5) has reached the negotiated channel_max (5)',
    'no-channel',
  ],
  [530, "NOT_ALLOWED - attempt to reuse consumer tag 'c'", 'refused'],
  [312, 'NO_ROUTE', 'refused'],
];

describe('the class of a failure', () => {
  it.each(classes)('is told by the code and the words: %i %s', (replyCode, words, failure) => {
    expect(classify(refusal(replyCode, words))).toBe(failure);
  });

  it('is the same for an error that amqplib made', () => {
    const message = 'Connection closed: 540 (NOT-IMPLEMENTED) with message "NOT_IMPLEMENTED - active=false"';

    expect(classify(Object.assign(new Error(message), { code: 540 }))).toBe('unsupported');
  });

  it.each<[string, unknown, Failure | undefined]>([
    ['a channel that ended without a word', new TransportError('the channel was closed'), 'lost'],
    ['a connection that has no channel left', channelsExhausted(5), 'no-channel'],
    ['an error of Node', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }), undefined],
    ['an error that users get', new ConnectionError('CONNECTION_FAILED', 'no'), undefined],
    ['what is no error', 'NOT_FOUND', undefined],
  ])('of %s', (_, error, failure) => {
    expect(classify(error)).toBe(failure);
  });
});

describe('the words of a failure', () => {
  it('are those of the server, on every line', () => {
    const words = 'INTERNAL_ERROR - Feature `x` is "deprecated".\nIt is not permitted';

    expect(serverWords(refusal(541, words))).toBe(words);
    expect(serverWords(new Error('read ECONNRESET'))).toBe('read ECONNRESET');
  });

  it('name the argument that differs, and both values', () => {
    const words =
      "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/': received the value '5' of type 'signedint' but current is none";

    expect(differenceOf(refusal(406, words))).toEqual({
      argument: 'x-max-length',
      declared: "the value '5' of type 'signedint'",
      existing: 'none',
    });
    expect(differenceOf(refusal(406, 'PRECONDITION_FAILED - invalid arg'))).toBeUndefined();
  });

  it('have the size of a message, and the limit', () => {
    const words = 'PRECONDITION_FAILED - message size 20 is larger than configured max size 10';

    expect(sizesOf(refusal(406, words))).toEqual({ sizeBytes: 20, limitBytes: 10 });
  });

  it('of amqplib say that no channel is left', () => {
    expect(hasNoChannelLeft(new Error('No channels left to allocate'))).toBe(true);
    expect(hasNoChannelLeft(new Error('Channel ended, no reply will be forthcoming'))).toBe(false);
  });
});

describe('the class of a failure to connect', () => {
  it.each<[code: string | undefined, text: string, DialFailure]>([
    ['ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:5672', 'unreached'],
    ['ENOTFOUND', 'getaddrinfo ENOTFOUND rabbit', 'unreached'],
    ['EAI_AGAIN', 'getaddrinfo EAI_AGAIN rabbit', 'unreached'],
    ['ECONNRESET', 'read ECONNRESET', 'broken'],
    ['ETIMEDOUT', 'connect ETIMEDOUT', 'broken'],
    ['SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate in certificate chain', 'tls'],
    ['DEPTH_ZERO_SELF_SIGNED_CERT', 'self-signed certificate', 'tls'],
    ['ERR_TLS_CERT_ALTNAME_INVALID', "Hostname/IP does not match certificate's altnames", 'tls'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'wrong version number', 'tls'],
    ['EPROTO', 'write EPROTO', 'tls'],
    ['ECONNABORTED', 'error:0A000410:SSL routines::sslv3 alert handshake failure', 'tls'],
    [
      undefined,
      'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused"',
      'credentials',
    ],
    [undefined, 'SASL mechanism EXTERNAL is not provided by the server', 'credentials'],
    [undefined, 'Expected ConnectionOpenOk; got <ConnectionClose channel:0>', 'vhost'],
    [undefined, 'Socket closed abruptly during opening handshake', 'broken'],
  ])('is told by its code %s and its text: %s', (code, text, failure) => {
    expect(classifyDial(code, text)).toBe(failure);
  });

  it.each<[words: string, VhostRefusal]>([
    ['NOT_ALLOWED - vhost orders not found', 'missing'],
    ["NOT_ALLOWED - access to vhost 'orders' refused for user 'ada'", 'access'],
    ["NOT_ALLOWED - access to vhost 'orders' refused for user 'ada': vhost 'orders' is down", 'down'],
    ["INTERNAL_ERROR - access to vhost 'orders' refused for user 'ada': vhost 'orders' is down", 'down'],
    ['NOT_ALLOWED - connection refused: node connection limit (1) is reached', 'refused'],
  ])('to a virtual host is told by the words of the server: %s', (words, vhostRefusal) => {
    expect(classifyVhostRefusal(words)).toBe(vhostRefusal);
    expect(vhostRefusalIn(`\u0001\u0000\n\u00002${words}\u0000\n\u0000(\u00ce`)).toBe(words);
  });
});
