import { describe, expect, it } from 'vitest';
import { DialError, TransportError } from '../../../../src/transport/port.js';
import { parseAddress } from '../../../../src/transport/rabbitmq/address.js';
import { dialFailure, toTransportError } from '../../../../src/transport/rabbitmq/amqplib-errors.js';

const address = parseAddress('amqp://ada:canary@host/orders');

const coded = (code: string, message: string) => Object.assign(new Error(message), { code });
const failed = (error: unknown, serverWords?: string) => dialFailure(error, address, serverWords);

describe('why a server could not be connected to', () => {
  it.each<[string, unknown, string, boolean]>([
    [
      'the port refuses',
      coded('ECONNREFUSED', 'connect ECONNREFUSED 127.0.0.1:5672'),
      'CONNECTION_FAILED',
      false,
    ],
    ['no such host', coded('ENOTFOUND', 'getaddrinfo ENOTFOUND host'), 'CONNECTION_FAILED', false],
    ['no way to it', coded('EHOSTUNREACH', 'connect EHOSTUNREACH'), 'CONNECTION_FAILED', false],
    ['a reset', coded('ECONNRESET', 'read ECONNRESET'), 'CONNECTION_FAILED', true],
    [
      'the socket closed',
      new Error('Socket closed abruptly during opening handshake'),
      'CONNECTION_FAILED',
      true,
    ],
    [
      'an unknown certificate',
      coded('SELF_SIGNED_CERT_IN_CHAIN', 'self-signed certificate'),
      'TLS_REFUSED',
      true,
    ],
    [
      'the issuer is unknown',
      coded('UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unable to verify'),
      'TLS_REFUSED',
      true,
    ],
    [
      'the name does not fit',
      coded('ERR_TLS_CERT_ALTNAME_INVALID', "Hostname/IP doesn't match"),
      'TLS_REFUSED',
      true,
    ],
    ['expired', coded('CERT_HAS_EXPIRED', 'certificate has expired'), 'TLS_REFUSED', true],
    ['TLS to a plain port', coded('EPROTO', 'wrong version number'), 'TLS_REFUSED', true],
    ['a wrong version of TLS', coded('ERR_SSL_WRONG_VERSION_NUMBER', 'wrong version'), 'TLS_REFUSED', true],
    [
      'a wrong password',
      new Error(
        'Handshake terminated by server: 403 (ACCESS-REFUSED) with message "ACCESS_REFUSED - Login was refused"',
      ),
      'ACCESS_REFUSED',
      true,
    ],
    [
      'an unknown mechanism',
      new Error('SASL mechanism EXTERNAL is not provided by the server'),
      'ACCESS_REFUSED',
      true,
    ],
    ['a text', 'broken', 'CONNECTION_FAILED', true],
  ])('is told apart: %s', (_, error, code, reachedServer) => {
    expect(failed(error)).toMatchObject({ name: 'DialError', code, reachedServer, cause: error });
  });

  it.each<[string | undefined, string]>([
    [undefined, 'VHOST_NOT_FOUND'],
    ['NOT_ALLOWED - vhost orders not found', 'VHOST_NOT_FOUND'],
    ["NOT_ALLOWED - access to vhost 'orders' refused for user 'ada'", 'ACCESS_REFUSED'],
    ["NOT_ALLOWED - access to vhost 'orders' refused: connection limit (1) is reached", 'ACCESS_REFUSED'],
    ["NOT_ALLOWED - access to vhost 'orders' refused: vhost 'orders' is down", 'CONNECTION_FAILED'],
  ])('is told by the words of the server where amqplib drops them: %o', (words, code) => {
    const failure = failed(new Error('Expected ConnectionOpenOk; got <ConnectionClose>'), words);

    expect(failure).toMatchObject({ code, reachedServer: true });
    expect(failure.message).toMatch(/^the server refused the virtual host 'orders': /);
    if (words) expect(failure.message).toContain(words);
  });

  it('has the words of all addresses of a host name, each once', () => {
    const refused = (ip: string) => coded('ECONNREFUSED', `connect ECONNREFUSED ${ip}:5672`);
    const failure = failed(new AggregateError([refused('::1'), refused('127.0.0.1'), refused('::1')]));

    expect(failure).toMatchObject({
      reachedServer: false,
      message: 'connect ECONNREFUSED ::1:5672, connect ECONNREFUSED 127.0.0.1:5672',
    });
  });

  it('is one line, with the code where the text does not have it', () => {
    expect(failed(coded('ECONNABORTED', 'it went\n  away')).message).toBe('it went away (ECONNABORTED)');
    expect(failed(coded('ETIMEDOUT', '')).message).toBe('ETIMEDOUT');
  });

  it('stays as it is when it was told before', () => {
    const failure = new DialError('TLS_REFUSED', 'no', { reachedServer: true });

    expect(failed(failure)).toBe(failure);
  });

  it('never has the password', () => {
    const failure = failed(new Error('Expected ConnectionOpenOk'), undefined);

    expect(`${failure.message} ${failure.stack}`).not.toContain('canary');
  });
});

describe('an error of a channel', () => {
  it('keeps its reply code and its words', () => {
    const error = Object.assign(new Error('Channel closed by server: 404'), { code: 404 });

    expect(toTransportError(error)).toMatchObject({ message: error.message, replyCode: 404, cause: error });
  });

  it.each([
    [coded('ECONNRESET', 'reset'), 'reset'],
    [new Error(''), 'the channel is closed'],
    ['text', 'the channel is closed'],
    [undefined, 'the channel is closed'],
  ])('without one has none: %o', (error, message) => {
    const made = toTransportError(error);

    expect(made).toBeInstanceOf(TransportError);
    expect({ message: made.message, replyCode: made.replyCode }).toEqual({ message, replyCode: undefined });
  });

  it('stays as it is when it is one already', () => {
    const error = new TransportError('gone');

    expect(toTransportError(error)).toBe(error);
  });
});
