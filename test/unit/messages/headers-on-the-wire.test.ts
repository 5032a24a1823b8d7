import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkHeaders, copyHeaders } from '../../../src/messages/headers.js';

/** The part of amqplib that headers go through. It exports no way to it. */
interface Codec {
  encodeTable(buffer: Buffer, table: object, offset: number): number;
  decodeFields(bytes: Buffer): Record<string, unknown>;
}

const require = createRequire(import.meta.url);
const codec = require(join(dirname(require.resolve('amqplib')), 'lib', 'codec.js')) as Codec;

/** What a receiver makes of headers. */
function arrived(headers: Record<string, unknown>): unknown {
  const buffer = Buffer.alloc(128 * 1024);
  const size = codec.encodeTable(buffer, copyHeaders(headers), 0);
  return plain(codec.decodeFields(buffer.subarray(4, size)));
}

/** Values as they compare: what is undefined is not sent, bytes are bytes, and no prototype counts. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return ['bytes', ...value];
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'number') return value + 0;
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .filter(([, it]) => it !== undefined)
    .map(([name, it]) => [name, plain(it)])
    .toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1));
}

const names = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 10 }),
  fc.string({ maxLength: 300 }),
  fc.constantFrom('!', 'value', '__proto__', 'constructor', 'toString', ''),
);

const leaves = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('a', '\ud800', '\udc00', '😀') }),
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.integer({ min: 1, max: 1_023 }).map((exponent) => -(2 ** exponent)),
  fc.integer({ min: 1, max: 1_023 }).map((exponent) => 2 ** exponent + 0.5),
  fc.constantFrom<unknown>(
    undefined,
    null,
    true,
    false,
    Number.NaN,
    2 ** 53,
    2 ** 63,
    -(2 ** 63),
    1n,
    Symbol.iterator,
  ),
  fc.uint8Array(),
  fc.date(),
  fc.constantFrom<unknown>('timestamp', 'int8', 'nonsense'),
);

const values = fc.letrec<{ any: unknown }>((tie) => ({
  any: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaves,
    fc.array(tie('any'), { maxLength: 4 }),
    fc.array(fc.tuple(names, tie('any')), { maxLength: 4 }).map((entries) => Object.fromEntries(entries)),
  ),
})).any;

const headers = fc
  .array(fc.tuple(names, values), { maxLength: 5 })
  .map((entries) => Object.fromEntries(entries));

describe('headers', () => {
  it('that are accepted arrive as they are', () => {
    fc.assert(
      fc.property(headers, (given) => {
        const checked = checkHeaders(given);
        if ('expected' in checked)
          expect({ path: typeof checked.path, expected: typeof checked.expected }).toEqual({
            path: 'string',
            expected: 'string',
          });
        else expect(arrived(given)).toEqual(plain(given));
      }),
      { numRuns: 3_000 },
    );
  });

  it.each<[string, unknown, string]>([
    ['a type of amqplib', { '!': 'timestamp', value: 1 }, 'h.!'],
    ['a type that there is not', { '!': 'nonsense', value: 1 }, 'h.!'],
    ['a number below the integers of the protocol', -1e300, 'h'],
    ['a fraction that amqplib takes for an integer', 2 ** 50 + 0.5, 'h'],
    ['half of a character', 'a\ud800', 'h'],
    ['a name that is half of a character', { '\ud800': 1 }, 'h.\ud800'],
    ['a name that would replace a prototype', { ['__proto__']: 1 }, 'h.__proto__'],
  ])('with %s are refused by name', (_, value, path) => {
    expect(checkHeaders({ h: value })).toMatchObject({ path });
  });
});
