import { describe, expect, it } from 'vitest';
import * as errors from '../../src/errors.js';

type Errors = typeof errors;

const sameFile = new URL('../../src/errors.ts', import.meta.url).href;
/** The same file once more, as a program has it that loads the package both as an ES module and as CommonJS. */
const copy = (await import(/* @vite-ignore */ `${sameFile}?another-copy`)) as Errors;

const issue = { message: 'expected string', path: ['to'] };

/** One of each class and code, made by a given copy of the package. */
function everyError(from: Errors) {
  const connection = (code: errors.ConnectionErrorCode) => new from.ConnectionError(code, 'no');
  const topology = (code: errors.TopologyErrorCode) => new from.TopologyError(code, 'emails', 'no');
  return [
    {
      class: 'ValidationError',
      code: 'INVALID_BODY',
      retryable: false,
      error: new from.ValidationError('the queue', [issue]),
    },
    {
      class: 'MessageTooLargeError',
      code: 'MESSAGE_TOO_LARGE',
      retryable: false,
      error: new from.MessageTooLargeError('large', 2, 1),
    },
    {
      class: 'UnroutableError',
      code: 'UNROUTABLE',
      retryable: false,
      error: new from.UnroutableError('no queue', '', 'q'),
    },
    { class: 'RejectedError', code: 'REJECTED', retryable: true, error: new from.RejectedError('full') },
    { class: 'TimeoutError', code: 'TIMEOUT', retryable: true, error: new from.TimeoutError('late') },
    { class: 'ClosedError', code: 'CLOSED', retryable: false, error: new from.ClosedError('closed') },
    {
      class: 'BufferFullError',
      code: 'BUFFER_FULL',
      retryable: true,
      error: new from.BufferFullError('full'),
    },
    {
      class: 'ConfigurationError',
      code: 'INVALID_OPTION',
      retryable: false,
      error: new from.ConfigurationError('a', 'wrong'),
    },
    {
      class: 'RemoteError',
      code: 'REMOTE',
      retryable: false,
      error: new from.RemoteError('X', 'failed there'),
    },
    {
      class: 'ConnectionError',
      code: 'CONNECTION_FAILED',
      retryable: true,
      error: connection('CONNECTION_FAILED'),
    },
    {
      class: 'ConnectionError',
      code: 'ACCESS_REFUSED',
      retryable: false,
      error: connection('ACCESS_REFUSED'),
    },
    {
      class: 'ConnectionError',
      code: 'VHOST_NOT_FOUND',
      retryable: false,
      error: connection('VHOST_NOT_FOUND'),
    },
    { class: 'ConnectionError', code: 'TLS_REFUSED', retryable: false, error: connection('TLS_REFUSED') },
    { class: 'ConnectionError', code: 'INVALID_URL', retryable: false, error: connection('INVALID_URL') },
    { class: 'TopologyError', code: 'MISMATCH', retryable: false, error: topology('MISMATCH') },
    { class: 'TopologyError', code: 'NOT_FOUND', retryable: false, error: topology('NOT_FOUND') },
    { class: 'TopologyError', code: 'ACCESS_REFUSED', retryable: false, error: topology('ACCESS_REFUSED') },
  ];
}

const here = everyError(errors);
const there = everyError(copy);
const classes = [...new Set(here.map((row) => row.class))];
const exported = new Map(Object.entries(errors));

describe('errors', () => {
  it('come in these classes and no other', () => {
    const exported = Object.keys(errors).filter(
      (name) => name.endsWith('Error') && name !== 'isLeveretError',
    );

    expect(exported.toSorted()).toEqual([...classes, 'LeveretError'].toSorted());
  });

  it.each(here)('have the code $code as $class, retryable: $retryable', (row) => {
    expect(row.error).toBeInstanceOf(Error);
    expect(row.error).toBeInstanceOf(errors.LeveretError);
    expect(row.error).toMatchObject({ name: row.class, code: row.code, retryable: row.retryable });
    expect(row.error.stack).toContain(row.class);
  });

  it('are told apart from every other class, also when another copy of the package made them', () => {
    expect(copy.LeveretError).not.toBe(errors.LeveretError);
    for (const row of [...here, ...there]) {
      const fits = classes.filter(
        (name) => row.error instanceof (exported.get(name) as typeof errors.TimeoutError),
      );
      expect(fits).toEqual([row.class]);
      expect(row.error).toBeInstanceOf(errors.LeveretError);
      expect(errors.isLeveretError(row.error)).toBe(true);
    }
  });

  it.each([
    [new Error('x')],
    [new TypeError('x')],
    [{ name: 'TimeoutError', code: 'TIMEOUT' }],
    [Object.assign(new Error('x'), { name: 'TimeoutError', code: 'TIMEOUT' })],
    [undefined],
    [null],
    ['TIMEOUT'],
    [7],
  ])('are not %o', (value: unknown) => {
    expect(errors.isLeveretError(value)).toBe(false);
    expect(value instanceof errors.LeveretError).toBe(false);
    expect(value instanceof errors.TimeoutError).toBe(false);
  });

  it("do not belong to a subclass of a program's own", () => {
    class MyTimeout extends errors.TimeoutError {}

    expect(new errors.TimeoutError('x') instanceof MyTimeout).toBe(false);
    expect(new MyTimeout('x') instanceof MyTimeout).toBe(true);
    expect(new MyTimeout('x') instanceof errors.TimeoutError).toBe(true);
  });

  it('keep their cause, and have none where there is none', () => {
    const cause = new Error('cause');

    expect(new errors.ClosedError('x', { cause }).cause).toBe(cause);
    expect(new errors.ConnectionError('TLS_REFUSED', 'x', { cause }).cause).toBe(cause);
    expect(new errors.TimeoutError('x', { maybeDelivered: true })).not.toHaveProperty('cause');
  });

  it('list in code, retryable and help what a log prints, and not the brand', () => {
    expect(Object.keys(new errors.RejectedError('full')).toSorted()).toEqual(['code', 'help', 'retryable']);
  });

  it('say what surely was not delivered', () => {
    expect({
      timeout: new errors.TimeoutError('x').maybeDelivered,
      timeoutAfterHandOver: new errors.TimeoutError('x', { maybeDelivered: true }).maybeDelivered,
      closed: new errors.ClosedError('x').maybeDelivered,
      closedAfterHandOver: new errors.ClosedError('x', { maybeDelivered: true }).maybeDelivered,
    }).toEqual({ timeout: false, timeoutAfterHandOver: true, closed: false, closedAfterHandOver: true });
  });

  it('carry the particulars', () => {
    const attempts = [{ address: 'amqp://a:5672', reason: 'refused' }];

    expect(new errors.MessageTooLargeError('x', 20, 10)).toMatchObject({ sizeBytes: 20, limitBytes: 10 });
    expect(new errors.UnroutableError('x', 'orders', 'eu')).toMatchObject({
      exchange: 'orders',
      routingKey: 'eu',
    });
    expect(new errors.ConfigurationError('prefetch', 'x').option).toBe('prefetch');
    expect(new errors.RemoteError('NO_STOCK', 'x').remoteCode).toBe('NO_STOCK');
    expect(new errors.ConnectionError('CONNECTION_FAILED', 'x', { attempts }).attempts).toEqual(attempts);
    expect(new errors.ConnectionError('CONNECTION_FAILED', 'x').attempts).toEqual([]);
    expect(
      new errors.TopologyError('MISMATCH', 'q', 'x', { argument: 'durable', declared: 'a', existing: 'b' }),
    ).toMatchObject({ target: 'q', argument: 'durable', declared: 'a', existing: 'b' });
  });

  it('of validation show the first three issues with their paths', () => {
    const issues = ['a', 'b', 'c', 'd', 'e'].map((key) => ({ message: 'wrong', path: [key, 0] }));
    const error = new errors.ValidationError('the queue', [{ message: 'all wrong', path: [] }, ...issues]);

    expect(error.message).toBe('Invalid body for the queue: all wrong; a.0: wrong; b.0: wrong (and 3 more)');
    expect(error.issues).toHaveLength(6);
  });
});
