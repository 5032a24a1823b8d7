import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { Broker } from '../../../src/broker/broker.js';
import { resolveBrokerOptions, resolveUrls } from '../../../src/broker/options.js';
import { ConfigurationError } from '../../../src/errors.js';
import { thrownBy } from '../support/track.js';

const fine = () => ({ username: 'ada', password: 'x' });

describe('the options of a broker', () => {
  it('have the documented defaults', () => {
    expect(resolveBrokerOptions()).toMatchObject({
      name: undefined,
      heartbeatSeconds: 10,
      startupTimeoutMs: 30_000,
      reconnect: { initialDelayMs: 100, refusedMaxDelayMs: 1_000, maxDelayMs: 30_000, factor: 2 },
      credentials: undefined,
      tls: undefined,
      maxBodyBytes: 1_048_576,
      signal: undefined,
    });
  });

  it('log nothing by default', () => {
    const { logger } = resolveBrokerOptions();

    expect({
      debug: logger.debug({}, ''),
      info: logger.info({}, ''),
      warn: logger.warn({}, ''),
      error: logger.error({}, ''),
    }).toEqual({ debug: undefined, info: undefined, warn: undefined, error: undefined });
  });

  it('are taken as they are given', () => {
    const { signal } = new AbortController();
    const options = {
      name: 'billing',
      heartbeatSeconds: 1,
      startupTimeoutMs: Infinity,
      credentials: fine,
      signal,
    };

    expect(resolveBrokerOptions(options)).toMatchObject(options);
  });

  it.each([
    ['name', 5],
    ['heartbeatSeconds', 0],
    ['heartbeatSeconds', 3_601],
    ['heartbeatSeconds', 1.5],
    ['startupTimeoutMs', 0],
    ['reconnect', true],
    ['credentials', fine()],
    ['tls', 'ca.pem'],
    ['maxBodyBytes', 0],
    ['maxBodyBytes', 128 * 1024 * 1024 + 1],
    ['logger', { debug() {}, info() {}, warn() {} }],
    ['signal', new AbortController()],
    ['recconect', {}],
  ])('refuse a wrong %s: %o', (option, value) => {
    const error = thrownBy(() => resolveBrokerOptions({ [option]: value }));

    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({ option });
    expect((error as Error).message).toContain(`'${option}'`);
  });

  it.each([
    ['initialDelayMs', 0],
    ['refusedMaxDelayMs', -1],
    ['maxDelayMs', Number.POSITIVE_INFINITY],
    ['factor', 0.5],
    ['jitter', true],
  ])('refuse a wrong reconnect.%s: %o', (option, value) => {
    const error = thrownBy(() => resolveBrokerOptions({ reconnect: { [option]: value } }));

    expect(error).toMatchObject({ code: 'INVALID_OPTION', option });
  });

  it.each([
    ['the options', () => new Broker('amqp://localhost', 'amqp://ada:secret@other' as never)],
    ['the credentials', () => new Broker('amqp://localhost', { credentials: 'secret' as never })],
    ['the credentials as an object', () => new Broker('', { credentials: { password: 'secret' } as never })],
    ['the TLS settings', () => new Broker('amqps://localhost', { tls: 'secret' as never })],
    ['the URL as an object', () => new Broker(new URL('amqp://ada:secret@host') as never)],
    ['the logger', () => new Broker('', { logger: 'amqp://ada:secret@host' as never })],
    ['the name of an option', () => new Broker('', { password: 'secret' } as never)],
  ])('never put a password into the error: %s', (_, make) => {
    const error = thrownBy(make);

    expect(error).toBeInstanceOf(ConfigurationError);
    expect(inspect(error, { depth: 9 })).not.toContain('secret');
  });
});

describe('the URLs of a broker', () => {
  it('are one, several, or the local one', () => {
    expect({
      none: resolveUrls(undefined),
      one: resolveUrls('amqp://a'),
      several: resolveUrls(['amqp://a', 'amqp://b']),
      unset: resolveUrls(['amqp://a', undefined as never]),
    }).toEqual({
      none: ['undefined'],
      one: ['amqp://a'],
      several: ['amqp://a', 'amqp://b'],
      unset: ['amqp://a', 'undefined'],
    });
  });

  it.each([[[]], [[5]], [{}], [null], [5]])('are not %o', (urls) => {
    expect(() => resolveUrls(urls as never)).toThrow(ConfigurationError);
  });
});
