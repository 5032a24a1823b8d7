import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checkHeaders, copyHeaders, ownHeaders } from '../../../src/messages/headers.js';

const VALUE = 'a string, number, boolean, null, bytes, array or plain object';

function sizeOf(headers: Record<string, unknown>): number | string {
  const checked = checkHeaders(headers);
  return 'expected' in checked ? `${checked.path}: ${checked.expected}` : checked.sizeBytes;
}

function nested(levels: number): unknown {
  let value: unknown = 'core';
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

describe('headers to be sent', () => {
  it.each([
    ['', 'text'],
    ['an integer', 1],
    ['a fraction', -1.5],
    ['a boolean', true],
    ['null', null],
    ['nothing', undefined],
    ['bytes', new Uint8Array(3)],
    ['a buffer', Buffer.from('abc')],
    ['an array', [1, ['a'], null]],
    ['an object', { a: { b: [1] } }],
    ['an object without a prototype', Object.assign(Object.create(null), { a: 1 })],
  ])('can hold %s', (_, value) => {
    expect(checkHeaders({ 'x-mine': value })).toHaveProperty('sizeBytes');
  });

  it.each<[string, unknown, string]>([
    ['Infinity, which would close the connection', Number.POSITIVE_INFINITY, 'h: a finite number'],
    ['NaN', Number.NaN, 'h: a finite number'],
    ['Infinity in an array', { a: [1, -Infinity] }, 'h.a.1: a finite number'],
    ['a date', new Date(0), `h: ${VALUE}`],
    ['a map', new Map(), `h: ${VALUE}`],
    ['an instance of a class', new (class Money {})(), `h: ${VALUE}`],
    ['other views of a buffer', new Float32Array(1), `h: ${VALUE}`],
    ['a function', () => 1, `h: ${VALUE}`],
    ['a symbol', Symbol('s'), `h: ${VALUE}`],
    ['a bigint', 1n, `h: ${VALUE}`],
    ['undefined in an array', [undefined], `h.0: ${VALUE}`],
    [
      'a key that reaches prototypes',
      JSON.parse('{"__proto__": 1}'),
      'h.__proto__: left out: it reaches prototypes',
    ],
    [
      'a key that reaches them by way of the constructor',
      { constructor: { prototype: {} } },
      'h.constructor: left out: it reaches prototypes',
    ],
    ['33 levels', nested(33), `h${'.0.a'.repeat(16)}: at most 32 levels`],
  ])('cannot hold %s', (_, value, problem) => {
    const [path = '', ...rest] = problem.split(': ');
    const expected = rest.join(': ');
    const checked = checkHeaders({ h: value });

    expect(checked).toMatchObject({ expected });
    if (!path.includes('.0.a.0')) expect(checked).toMatchObject({ path });
  });

  it('can be nested, but not so deep that it exhausts the stack', () => {
    expect(sizeOf({ h: nested(30) })).toBeTypeOf('number');
    expect(sizeOf({ h: nested(100_000) })).toContain('at most 32 levels');
  });

  it('that refer to themselves are too deep', () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;

    expect(sizeOf({ circular })).toContain('at most 32 levels');
  });

  it.each(['x-death', 'x-delivery-count', 'x-acquired-count', 'x-first-death-queue', 'x-last-death-reason'])(
    'cannot be called %s, which belongs to the server',
    (name) => {
      expect(sizeOf({ [name]: 1 })).toBe(`${name}: left out: it is reserved for the server`);
      expect(sizeOf({ inner: { [name]: 1 } })).toBeTypeOf('number');
      expect(sizeOf({ [`${name}-of-mine`]: 1 })).toBeTypeOf(name.includes('-death-') ? 'string' : 'number');
    },
  );

  it('have names of at most 255 bytes', () => {
    expect(sizeOf({ ['ü'.repeat(127)]: 1 })).toBeTypeOf('number');
    expect(sizeOf({ ['ü'.repeat(128)]: 1 })).toBe(`${'ü'.repeat(60)}: a name of at most 255 bytes`);
    expect(sizeOf({ a: { ['n'.repeat(256)]: 1 } })).toContain('a name of at most 255 bytes');
  });

  it('are measured in bytes, not in characters', () => {
    const plain = sizeOf({ name: 'u'.repeat(100) }) as number;

    expect(sizeOf({ name: 'ü'.repeat(100) })).toBe(plain + 100);
    expect(sizeOf({ name: new Uint8Array(100) })).toBe(plain);
  });

  it('take up at least what they hold', () => {
    const leaf = fc.oneof(
      fc.string(),
      fc.boolean(),
      fc.constant(null),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
    );
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { weight: 3, arbitrary: leaf },
        { weight: 1, arbitrary: fc.array(tie('value'), { maxLength: 4 }) },
        { weight: 1, arbitrary: fc.dictionary(fc.string({ maxLength: 20 }), tie('value'), { maxKeys: 4 }) },
      ),
    }));
    const held = (it: unknown): number => {
      if (typeof it === 'string') return Buffer.byteLength(it);
      if (typeof it !== 'object' || it === null) return typeof it === 'number' ? 8 : 0;
      return Object.entries(it).reduce(
        (sum, [key, inner]) => sum + (Array.isArray(it) ? 0 : Buffer.byteLength(key)) + held(inner),
        0,
      );
    };

    fc.assert(
      fc.property(value, (it) => {
        fc.pre('sizeBytes' in checkHeaders({ h: it }));
        expect(sizeOf({ h: it })).toBeGreaterThanOrEqual(1 + held(it));
      }),
    );
  });
});

describe('copies of headers', () => {
  it('do not change when the original does', () => {
    const original = { list: [1, { a: 1 }], bytes: new Uint8Array([1, 2]) };
    const copy = copyHeaders(original) as typeof original;
    original.list.push(2);
    (original.list[1] as { a: number }).a = 9;
    original.bytes[0] = 9;

    expect(copy).toEqual({ list: [1, { a: 1 }], bytes: Buffer.from([1, 2]) });
  });

  it('leave out what is undefined, and turn bytes into what the wire takes', () => {
    const copy = copyHeaders({ a: undefined, b: new Uint8Array(1), c: { d: undefined } });

    expect(copy).toStrictEqual({ b: Buffer.from([0]), c: {} });
    expect(Buffer.isBuffer(copy.b)).toBe(true);
  });

  it('give objects without a prototype one, which the encoder needs', () => {
    const copy = copyHeaders({ inner: Object.assign(Object.create(null), { a: 1 }) });

    expect(copy.inner).toHaveProperty('hasOwnProperty');
  });
});

describe("the sender's own headers of a received message", () => {
  it('leave out those of the server and those that would route a copy', () => {
    const headers = {
      mine: 1,
      'x-death': [],
      'x-mine': 1,
      CC: ['a'],
      BCC: ['b'],
      cc: 'kept',
      'leveret-attempt': 2,
    };

    expect({ ...ownHeaders(headers) }).toEqual({
      mine: 1,
      'x-mine': 1,
      cc: 'kept',
      'leveret-attempt': 2,
    });
  });

  it('never reach a prototype', () => {
    const headers = JSON.parse('{"__proto__": {"admin": true}, "constructor": 1}') as object;
    const own = ownHeaders(headers);

    expect(Object.getPrototypeOf(own)).toBeNull();
    expect(Object.keys(own)).toEqual(['constructor']);
    expect(own.admin).toBeUndefined();
  });

  it('never reach one inside of a table either, whatever another client made its prototype', () => {
    const withPrototype = (prototype: object) =>
      Object.assign(Object.create(prototype) as object, { fine: 1 });
    const own = ownHeaders({
      bytes: withPrototype(Buffer.from('secret')),
      list: [withPrototype([1]), { inner: withPrototype({ admin: true }) }],
      written: JSON.parse('{"__proto__": {"admin": true}, "fine": 1}'),
      constructor: { prototype: { admin: true } },
    });

    expect(JSON.stringify(own)).toBe(
      '{"bytes":{"fine":1},"list":[{"fine":1},{"inner":{"fine":1}}],"written":{"fine":1}}',
    );
    const [, second] = own.list as [unknown, { inner: { admin?: boolean } }];
    expect(second.inner.admin).toBeUndefined();
    expect(Object.getPrototypeOf(own.bytes)).toBeNull();
    expect(checkHeaders(own)).toHaveProperty('sizeBytes');
  });

  it('keep bytes and what amqplib marks with a type', () => {
    const headers = { bytes: Buffer.from([1]), when: { '!': 'timestamp', value: 5 } };
    const own = ownHeaders(headers);

    expect(own.bytes).toBe(headers.bytes);
    expect(own).toEqual(headers);
  });

  it('say that they are too deep when they are copied', () => {
    const own = ownHeaders({ h: nested(5_000) });

    expect(sizeOf(own)).toContain('at most 32 levels');
  });

  it.each([undefined, null, 'text', 5])('are none when the message has %o', (headers) => {
    expect(Object.keys(ownHeaders(headers))).toEqual([]);
  });
});

describe.each(['CC', 'BCC'])('the header %s', (name) => {
  it.each(['audit', 7, { audit: true }, ['audit', 7]])(
    'is refused unless it is a list of routing keys',
    (value) => {
      expect(checkHeaders({ [name]: value })).toEqual({ path: name, expected: 'an array of routing keys' });
    },
  );

  it('is taken as a list of routing keys', () => {
    expect(checkHeaders({ [name]: ['audit', 'archive'] })).toEqual({ sizeBytes: expect.any(Number) });
  });
});
