import { describe, expect, it } from 'vitest';
import { headersOf } from '../../../src/messages/properties.js';

describe('the headers of a message', () => {
  it('are what the sender has set', () => {
    const headers = { tenant: 'a' };

    expect(headersOf({ headers })).toBe(headers);
  });

  it.each([[undefined], [null], ['text'], [5]])('are an empty table in place of %j', (headers) => {
    expect(headersOf({ headers })).toEqual({});
  });
});
