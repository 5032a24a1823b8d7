import { describe, expect, it } from 'vitest';
import { joinErrorText, splitErrorText } from '../../../src/messages/error-text.js';

describe('the text of an error', () => {
  it.each([
    ['TIMEOUT: late', { code: 'TIMEOUT', message: 'late' }],
    ['SOLD_OUT: no more: sorry', { code: 'SOLD_OUT', message: 'no more: sorry' }],
    ['Error: two\nlines: of text', { code: 'Error', message: 'two\nlines: of text' }],
    [': without a code', { code: '', message: 'without a code' }],
  ])('has a code and a message (%j)', (text, parts) => {
    expect(splitErrorText(text, 'unknown')).toEqual(parts);
    expect(joinErrorText(parts)).toBe(text);
  });

  it('of another program may name no code', () => {
    expect(splitErrorText('it broke', 'unknown')).toEqual({ code: 'unknown', message: 'it broke' });
  });
});
