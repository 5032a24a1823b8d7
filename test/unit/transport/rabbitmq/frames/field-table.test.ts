import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeTable, encodeTable } from '../../../../../src/transport/rabbitmq/frames/field-table.js';
import {
  decodeFields,
  encodeTable as encodeByAmqplib,
  headers,
  outcome,
  plain,
} from '../../../support/amqplib-codec.js';

const buffer = Buffer.alloc(64 * 1024);
const theirBytes = (table: object) => Buffer.from(buffer.subarray(0, encodeByAmqplib(buffer, table, 0)));
const ourTable = (bytes: Buffer) => decodeTable(bytes, 0, bytes.length);

/** So many tables, one in the other. */
function nested(depth: number): Buffer {
  const bytes = Buffer.alloc(7 * depth);
  for (let at = 0; at < bytes.length; at += 7) {
    bytes.set([1, 0x61, 0x46], at);
    bytes.writeUInt32BE(bytes.length - at - 7, at + 3);
  }
  return bytes;
}

describe('field tables', () => {
  it('are encoded as amqplib encodes them, or refused as it refuses them', () => {
    fc.assert(
      fc.property(headers, (table) => {
        const theirs = outcome(() => theirBytes(table));
        expect(outcome(() => Buffer.from(encodeTable(table)))).toEqual(theirs);
      }),
      { numRuns: 3_000 },
    );
  });

  it('are decoded as amqplib decodes them', () => {
    fc.assert(
      fc.property(headers, (table) => {
        const bytes = outcome(() => theirBytes(table));
        if (bytes === 'it throws') return;
        expect(plain(ourTable(bytes.subarray(4)))).toEqual(plain(decodeFields(bytes.subarray(4))));
      }),
      { numRuns: 3_000 },
    );
  });

  it('keep a header called __proto__ to itself', () => {
    const table = Object.defineProperty({}, '__proto__', { value: { isAdmin: true }, enumerable: true });
    const decoded = ourTable(Buffer.from(encodeTable(table)).subarray(4));
    expect(Object.getPrototypeOf(decoded)).toBe(Object.prototype);
    expect(Object.keys(decoded)).toEqual(['__proto__']);
  });

  it('are refused when they are cut off anywhere', () => {
    const bytes = Buffer.from(
      encodeTable({ text: 'text', list: [1, 2.5, null], table: { a: true }, bytes: Buffer.from('abc') }),
    ).subarray(4);
    const accepted = Array.from({ length: bytes.length }, (_, end) => end).filter(
      (end) => outcome(() => decodeTable(bytes, 0, end)) !== 'it throws',
    );
    // Only between two headers.
    expect(accepted.map((end) => Object.keys(decodeTable(bytes, 0, end)).length)).toEqual([0, 1, 2, 3]);
  });

  it('are refused when they are nested too deep, whatever their size', () => {
    expect(plain(ourTable(nested(50)))).toEqual(plain(decodeFields(nested(50))));
    for (const depth of [200, 5_000, 18_000]) {
      expect(() => ourTable(nested(depth))).toThrow('a table is nested deeper than 100');
    }
  });

  it('are refused when they are changed at random, or read to the end', () => {
    const bytes = Buffer.from(
      encodeTable({ text: 'text', list: [1, 2.5, { a: 1 }], at: { '!': 'timestamp', value: 1 } }),
    );
    fc.assert(
      fc.property(fc.nat(bytes.length - 5), fc.nat(255), (at, value) => {
        const changed = Buffer.from(bytes.subarray(4));
        changed[at] = value;
        const decoded = outcome(() => ourTable(changed));
        if (decoded !== 'it throws') expect(Object.keys(decoded).length).toBeLessThan(changed.length);
      }),
      { numRuns: 2_000 },
    );
  });
});
