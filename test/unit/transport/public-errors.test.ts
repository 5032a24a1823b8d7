import { describe, expect, it } from 'vitest';
import { channelsExhausted, TransportError } from '../../../src/transport/port.js';
import { mismatch, toMessageError, toPublicError } from '../../../src/transport/public-errors.js';

const refusal = (replyCode: number, words: string) =>
  new TransportError(`Channel closed by server: ${replyCode} (NAME) with message "${words}"`, { replyCode });

const tooLarge = refusal(406, 'PRECONDITION_FAILED - message size 4 is larger than configured max size 3');

describe('an error for users', () => {
  it.each<[string, TransportError, object]>([
    ['access', refusal(403, 'ACCESS_REFUSED - no'), { name: 'TopologyError', code: 'ACCESS_REFUSED' }],
    ['missing', refusal(404, 'NOT_FOUND - no'), { name: 'TopologyError', code: 'NOT_FOUND' }],
    ['mismatch', refusal(406, 'PRECONDITION_FAILED'), { name: 'TopologyError', code: 'MISMATCH' }],
    ['unsupported', refusal(540, 'NOT_IMPLEMENTED'), { name: 'TopologyError', code: 'MISMATCH' }],
    ['locked', refusal(405, 'RESOURCE_LOCKED'), { name: 'TopologyError', code: 'ACCESS_REFUSED' }],
    ['lost', new TransportError('gone'), { name: 'ConnectionError', code: 'CONNECTION_FAILED' }],
    [
      'lost: the server shuts down',
      refusal(320, 'CONNECTION_FORCED'),
      { name: 'ConnectionError', code: 'CONNECTION_FAILED' },
    ],
    [
      'unavailable',
      refusal(
        404,
        "NOT_FOUND - home node 'b' of durable queue 'emails' in vhost '/' is down or inaccessible",
      ),
      { name: 'ConnectionError', code: 'CONNECTION_FAILED' },
    ],
    ['no-channel', channelsExhausted(5), { name: 'ConnectionError', code: 'CONNECTION_FAILED' }],
  ])('is made of what is %s', (_, error, expected) => {
    expect(toPublicError(error, 'emails')).toMatchObject({ ...expected, cause: error });
  });

  it('is what it was when it was one', () => {
    const error = new Error('a bug');

    expect(toPublicError(error, 'emails')).toBe(error);
  });
});

describe('the error for a queue that exists otherwise', () => {
  const difference = (argument: string, option: string, advice: string) => ({
    argument,
    option,
    declared: "'a'",
    existing: "'b'",
    advice,
  });
  const type = difference('x-queue-type', 'type', "type: 'quorum'");
  const limit = difference('x-delivery-limit', 'deliveryLimit', "declare: 'passive'");
  const length = difference('x-max-length', 'maxLength', 'no maxLength');

  it.each([
    [
      'what to write',
      [length],
      "Write in the contract: no maxLength; or use it as it is, with declare: 'passive'.",
    ],
    [
      'to use it as it is where no contract declares it so',
      [limit, length],
      "Use it as it is, with declare: 'passive'.",
    ],
    [
      'what to write for another type, from which the rest may follow',
      [limit, type],
      "Write in the contract: type: 'quorum'; or use it as it is, with declare: 'passive'.",
    ],
  ] as const)('says %s', (_, [first, ...others], advice) => {
    const { message } = mismatch('emails', "The queue 'emails'", [first, ...others], undefined);

    expect(message).toContain(`the server has 'b'. ${advice} Deleting it`);
  });
});

describe('the error of a message that was in flight', () => {
  const message = (text: string) => ({
    exchange: '',
    routingKey: 'emails',
    mandatory: true,
    properties: {},
    content: Buffer.from(text),
  });

  it.each<[string, TransportError, string, object | undefined]>([
    ['it is too large', tooLarge, 'four', { name: 'MessageTooLargeError' }],
    ['another message is too large', tooLarge, 'two', undefined],
    ['the exchange is missing', refusal(404, 'NOT_FOUND'), 'four', { code: 'NOT_FOUND' }],
    ['the user may not publish', refusal(403, 'ACCESS_REFUSED'), 'four', { code: 'ACCESS_REFUSED' }],
    ['the queue comes back', refusal(404, "queue 'emails' is stopped by supervisor"), 'four', undefined],
    ['the channel is gone', new TransportError('gone'), 'four', undefined],
  ])('says whether it may be sent again: %s', (_, error, text, expected) => {
    const made = toMessageError(error, message(text), "the queue 'emails'");

    if (expected) expect(made).toMatchObject(expected);
    else expect(made).toBeUndefined();
  });
});
