import { describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../../src/errors.js';
import {
  type Check,
  checkOptions,
  either,
  expectBoolean,
  expectDuration,
  expectFunction,
  expectInteger,
  expectNumber,
  expectOneOf,
  expectRecord,
  expectShortString,
  expectSignal,
  expectString,
  show,
} from '../../../src/util/checks.js';
import { thrownBy } from '../support/track.js';

const checks: Record<string, Check> = {
  timeoutMs: expectDuration(1, { infinity: true }),
  maxBodyBytes: expectInteger(1, 1_000),
  name: expectString,
  jitter: expectBoolean,
};

function complaint(options: unknown, among: Record<string, Check> = checks): string {
  const error = thrownBy(() => checkOptions('thing(…)', options, among));
  expect(error).toBeInstanceOf(ConfigurationError);
  return (error as ConfigurationError).message;
}

describe('checking options', () => {
  it('lets right ones through, and those that are undefined', () => {
    expect(() => checkOptions('thing(…)', { timeoutMs: 5, name: undefined }, checks)).not.toThrow();
    expect(() => checkOptions('thing(…)', undefined, checks)).not.toThrow();
  });

  it('names the option, what was expected and what was got', () => {
    const error = thrownBy(() => checkOptions('thing(…)', { maxBodyBytes: 0.5 }, checks));

    expect(error).toMatchObject({
      code: 'INVALID_OPTION',
      option: 'maxBodyBytes',
      message: "thing(…): option 'maxBodyBytes' must be a whole number, 1 to 1000, got 0.5",
    });
  });

  it.each([
    ['timeout', 'timeoutMs'],
    ['maxBody', 'maxBodyBytes'],
    ['maxbodybytes', 'maxBodyBytes'],
    ['timoutMs', 'timeoutMs'],
    ['timeuotMs', 'timeoutMs'],
    ['timeoutMss', 'timeoutMs'],
    ['jiter', 'jitter'],
    ['nane', 'name'],
    ['colour', undefined],
  ])("answers the unknown option '%s' with '%s'", (unknown, near) => {
    const message = complaint({ [unknown]: 1 });

    expect(message).toBe(
      `thing(…): unknown option '${unknown}'. ${
        near ? `Did you mean '${near}'?` : 'Known options: timeoutMs, maxBodyBytes, name, jitter.'
      }`,
    );
  });

  it.each(['constructor', 'toString', '__proto__'])('does not know %s, which every object has', (name) => {
    const options = JSON.parse(`{ "${name}": 1 }`) as object;

    expect(complaint(options)).toContain(`unknown option '${name}'`);
  });

  it('complains of an unknown option also when it is undefined', () => {
    expect(complaint({ colour: undefined })).toContain("unknown option 'colour'");
  });

  it.each([
    [null, 'null'],
    ['text', "'text'"],
    [7, '7'],
    [[], 'an array'],
    [() => 1, 'a function'],
  ])('takes nothing but an object: not %o', (options, shown) => {
    expect(complaint(options)).toBe(`thing(…): expected an options object, got ${shown}`);
  });
});

describe('a check', () => {
  const signal = new AbortController().signal;
  const longest = 'ü'.repeat(127);

  it.each<[string, Check, unknown[], unknown[], string]>([
    ['a boolean', expectBoolean, [true, false], [1, 'true', null], 'true or false'],
    ['a function', expectFunction, [() => 1, class {}], [{}, null], 'a function'],
    ['a string', expectString, ['', 'a'], [1, null], 'a string'],
    ['an object', expectRecord, [{}, Object.create(null)], [[], null, 'a'], 'an object'],
    ['a signal', expectSignal, [signal], [{}, { aborted: true }, 'abort', null], 'an AbortSignal'],
    ['an integer', expectInteger(1, 5), [1, 5], [0, 6, 1.5, '3', Number.NaN, 3n], 'a whole number, 1 to 5'],
    ['an unbounded integer', expectInteger(0), [0, 2 ** 53 - 1], [-1, 2 ** 53], 'a whole number, 0 or more'],
    [
      'a number',
      expectNumber(1, 2),
      [1, 1.5, 2],
      [0.9, 2.1, Number.NaN, Infinity, '1'],
      'a number from 1 to 2',
    ],
    [
      'a duration',
      expectDuration(1),
      [1, 0.5 + 1, 2 ** 31 - 1],
      [0, 2 ** 31, Infinity],
      'a number from 1 to 2147483647',
    ],
    [
      'an endless duration',
      expectDuration(0, { infinity: true }),
      [0, Infinity],
      [-1, -Infinity, 2 ** 31],
      'a number from 0 to 2147483647, or Infinity',
    ],
    ['a literal', expectOneOf('a', false), ['a', false], ['b', true, 0], "'a' or false"],
    ['either', either(expectBoolean, expectString), [true, 'a'], [1], 'true or false or a string'],
    [
      'a short string',
      expectShortString(),
      ['a', `${longest}a`],
      ['', `${longest}aa`, 5],
      'a non-empty string of at most 255 bytes',
    ],
    [
      'a short string with half of a character',
      expectShortString(),
      ['a\u{1F407}'],
      ['\ud83d'],
      'a non-empty string of at most 255 bytes, without lone surrogates',
    ],
    [
      'an empty short string',
      expectShortString({ empty: true }),
      ['', 'a'],
      [null],
      'a string of at most 255 bytes',
    ],
  ])('for %s takes what fits and says what it expected', (_, check, right, wrong, expected) => {
    expect(right.map(check)).toEqual(right.map(() => undefined));
    expect(wrong.map(check)).toEqual(wrong.map(() => expected));
  });
});

describe('showing a wrong value', () => {
  class Money {}

  it.each([
    ['text', "'text'"],
    ['x'.repeat(61), `'${'x'.repeat(57)}…'`],
    [1.5, '1.5'],
    [-0, '0'],
    [5n, '5'],
    [true, 'true'],
    [undefined, 'undefined'],
    [null, 'null'],
    [Symbol('s'), 'a symbol'],
    [() => 1, 'a function'],
    [[1, 2], 'an array'],
    [{ password: 'secret' }, 'an object'],
    [Object.create(null), 'an object'],
    [new Money(), 'an instance of Money'],
    [new Date(0), 'an instance of Date'],
    [new Date(Number.NaN), 'an invalid Date'],
    [new URL('amqp://ada:secret@host'), 'an instance of URL'],
  ])('shows %o briefly', (value, shown) => {
    expect(show(value)).toBe(shown);
  });

  it.each([
    'amqp://ada:secret@host',
    'amqps://ada:se/cr?et@host/vhost',
    'amqp://ada:s@secret@host',
    'see amqp://:secret@host',
  ])('never shows the password of %s', (url) => {
    expect(show(url)).not.toContain('secret');
    expect(show(url)).not.toContain('cr?et');
  });
});
