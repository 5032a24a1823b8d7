import {
  type BufferFullError,
  type ClosedError,
  type ConfigurationError,
  type ConnectionError,
  type ErrorCode,
  type Issue,
  isLeveretError,
  LeveretError,
  type MessageTooLargeError,
  type RejectedError,
  type RemoteError,
  type TimeoutError,
  TopologyError,
  type UnroutableError,
  ValidationError,
} from 'leveret';
import { describe, expectTypeOf, it } from 'vitest';

describe('the code of an error', () => {
  it('is a literal of its class', () => {
    expectTypeOf<ValidationError['code']>().toEqualTypeOf<'INVALID_BODY' | 'INVALID_KEY'>();
    expectTypeOf<MessageTooLargeError['code']>().toEqualTypeOf<'MESSAGE_TOO_LARGE'>();
    expectTypeOf<UnroutableError['code']>().toEqualTypeOf<'UNROUTABLE'>();
    expectTypeOf<RejectedError['code']>().toEqualTypeOf<'REJECTED'>();
    expectTypeOf<TimeoutError['code']>().toEqualTypeOf<'TIMEOUT'>();
    expectTypeOf<ClosedError['code']>().toEqualTypeOf<'CLOSED'>();
    expectTypeOf<BufferFullError['code']>().toEqualTypeOf<'BUFFER_FULL'>();
    expectTypeOf<ConfigurationError['code']>().toEqualTypeOf<'INVALID_OPTION' | 'SCHEMA_VERSION'>();
    expectTypeOf<RemoteError['code']>().toEqualTypeOf<'REMOTE'>();
    expectTypeOf<ConnectionError['code']>().toEqualTypeOf<
      'CONNECTION_FAILED' | 'ACCESS_REFUSED' | 'VHOST_NOT_FOUND' | 'TLS_REFUSED' | 'INVALID_URL'
    >();
    expectTypeOf<TopologyError['code']>().toEqualTypeOf<'MISMATCH' | 'NOT_FOUND' | 'ACCESS_REFUSED'>();
  });

  it('is one of all codes on the base', () => {
    expectTypeOf<LeveretError['code']>().toEqualTypeOf<ErrorCode>();
    expectTypeOf<ErrorCode>().toEqualTypeOf<
      | 'INVALID_BODY'
      | 'INVALID_KEY'
      | 'MESSAGE_TOO_LARGE'
      | 'UNROUTABLE'
      | 'REJECTED'
      | 'TIMEOUT'
      | 'CLOSED'
      | 'BUFFER_FULL'
      | 'INVALID_OPTION'
      | 'SCHEMA_VERSION'
      | 'REMOTE'
      | 'CONNECTION_FAILED'
      | 'ACCESS_REFUSED'
      | 'VHOST_NOT_FOUND'
      | 'TLS_REFUSED'
      | 'INVALID_URL'
      | 'MISMATCH'
      | 'NOT_FOUND'
    >();
  });

  it('cannot be compared with a code that does not exist', () => {
    const error = {} as LeveretError;
    // @ts-expect-error there is no such code
    if (error.code === 'OOPS') return;
  });
});

describe('what was caught', () => {
  it('is narrowed by isLeveretError and by instanceof', () => {
    const caught: unknown = undefined;
    if (isLeveretError(caught)) {
      expectTypeOf(caught.code).toEqualTypeOf<ErrorCode>();
      expectTypeOf(caught.retryable).toEqualTypeOf<boolean>();
    }
    if (caught instanceof ValidationError) expectTypeOf(caught.issues).toEqualTypeOf<readonly Issue[]>();
    if (caught instanceof TopologyError) expectTypeOf(caught.argument).toEqualTypeOf<string | undefined>();
    if (caught instanceof LeveretError) expectTypeOf(caught.code).toEqualTypeOf<ErrorCode>();
  });

  it('says whether a send may have been delivered', () => {
    expectTypeOf<TimeoutError['maybeDelivered']>().toEqualTypeOf<boolean>();
    expectTypeOf<ClosedError['maybeDelivered']>().toEqualTypeOf<boolean>();
  });

  it('is read-only', () => {
    const error = {} as ValidationError;
    // @ts-expect-error an error does not change
    error.retryable = true;
  });
});
