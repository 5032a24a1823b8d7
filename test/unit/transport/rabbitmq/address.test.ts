import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ConnectionError } from '../../../../src/errors.js';
import { parseAddress } from '../../../../src/transport/rabbitmq/address.js';

describe('a broker URL', () => {
  it('has defaults for everything but its scheme', () => {
    expect(parseAddress('amqp://')).toEqual({
      label: 'amqp://localhost:5672',
      secure: false,
      hostname: 'localhost',
      port: 5672,
      username: 'guest',
      password: 'guest',
      vhost: '/',
      settings: {},
    });
    expect(parseAddress('amqps://rabbit')).toMatchObject({ secure: true, hostname: 'rabbit', port: 5671 });
  });

  it.each([
    ['amqp://h', '/', 'amqp://h:5672'],
    ['amqp://h/', '/', 'amqp://h:5672'],
    ['amqp://h/%2F', '/', 'amqp://h:5672/%2F'],
    ['amqp://h/%2f', '/', 'amqp://h:5672/%2F'],
    ['amqp://h/orders', 'orders', 'amqp://h:5672/orders'],
    ['amqp://h/a%2Fb%20c', 'a/b c', 'amqp://h:5672/a%2Fb%20c'],
    ['amqp://h/a%40b', 'a@b', 'amqp://h:5672/a%40b'],
    ['amqp:///orders', 'orders', 'amqp://localhost:5672/orders'],
  ])('%s means the virtual host %s', (url, vhost, label) => {
    expect(parseAddress(url)).toMatchObject({ vhost, label });
  });

  it.each([
    ['amqp://[::1]', '::1', 5672, 'amqp://[::1]:5672'],
    ['amqps://u:p@[2001:db8::1]:5673/v', '2001:db8::1', 5673, 'amqps://[2001:db8::1]:5673/v'],
    ['amqp://127.0.0.1:1', '127.0.0.1', 1, 'amqp://127.0.0.1:1'],
  ])('%s has the host %s and the port %s', (url, hostname, port, label) => {
    expect(parseAddress(url)).toMatchObject({ hostname, port, label });
  });

  it.each([
    ['amqp://u:p%40s%2Fs%3A%23%3F%25@h', 'u', 'p@s/s:#?%'],
    ['amqp://u:p@ss@h', 'u', 'p@ss'],
    ['amqp://u:p:q@h', 'u', 'p:q'],
    ['amqp://u:%C3%A4%20%F0%9F%98%80@h', 'u', 'ä 😀'],
    ['amqp://a%40b:p@h', 'a@b', 'p'],
    ['amqp://u@h', 'u', ''],
    ['amqp://u:@h', 'u', ''],
  ])('%s has the user %s and the password %s', (url, username, password) => {
    expect(parseAddress(url)).toMatchObject({ username, password, hostname: 'h', label: 'amqp://h:5672' });
  });

  it.each([
    '',
    'localhost',
    'http://u:canary@h',
    'u:canary@h',
    'amqp:u:canary@h',
    'amqp:/u:canary@h',
    'amqp:///u:canary@h',
    'amqp://u:12/canary@h',
    'amqp://u:12/34canary@h/v',
    'amqp://u:can/ary@h',
    'amqp://u:12#canary@h',
    'amqp://u:12?canary@h',
    'amqp://u:canary%zz@h',
    'amqp://u%zz:canary@h',
    'amqp://u:canary@h/%zz',
    'amqp://u:canary@h/a/b',
    'amqp://u:canary@h:70000',
    'amqp://u:canary@h:port',
    'amqp://u:canary@h?heartbeat=0',
    'amqp://u:canary@h?heartbeat=canary',
    'amqp://u:canary@h?canary=5',
    'amqp://u:canary@h/v#x',
    'amqp://u:canary@[::1',
    'amqp://u:canary@h h',
  ])('%j is refused, and its password is told nowhere', (url) => {
    let thrown: unknown;
    try {
      parseAddress(url);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ConnectionError);
    const error = thrown as ConnectionError;
    expect(error).toMatchObject({ code: 'INVALID_URL', retryable: false });
    expect(error.message).toMatch(/^Invalid broker URL: .+ Expected amqp:/);
    const told = [
      error.message,
      error.stack,
      String(error.cause),
      inspect(error, { depth: 9, showHidden: true }),
    ];
    for (const text of [...told, JSON.stringify(error)]) expect(text).not.toMatch(/canary|:12\//);
  });

  it('has a label without its password', () => {
    for (const url of ['amqp://u:canary@h', 'amqp://canary:canary@h/v', 'amqps://u:x@canary@h:1/%2F'])
      expect(parseAddress(url).label).not.toContain('canary');
  });

  it.each(['amqp://u:p/w@h', 'amqp://u:p#w@h', 'amqp://u:p?w@h', 'amqp://u:100%@h'])(
    '%s is refused with the likely fault: a password that is not encoded',
    (url) => {
      expect(() => parseAddress(url)).toThrow(
        /a password with one of .* percent-encode it, with encodeURIComponent/,
      );
    },
  );

  it('has the settings of hosted services in its query', () => {
    expect(
      parseAddress('amqp://h?heartbeat=30&connection_timeout=5000&frameMax=65536&channelMax=20'),
    ).toMatchObject({
      settings: { heartbeat: 30, connection_timeout: 5_000, frameMax: 65_536, channelMax: 20 },
    });
  });
});
