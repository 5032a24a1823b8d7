import { describe, expect, it } from 'vitest';
import { codecs } from '../../../../src/contracts/body/codec.js';

const { json, text, bytes } = codecs;

const decodeJson = (content: string | Buffer, contentType?: unknown, encoding?: unknown) =>
  json.decode(Buffer.from(content as string), contentType, encoding);

const issue = (message: RegExp, path: unknown[] = []) => ({
  issue: { message: expect.stringMatching(message), path },
});

function circle(): unknown {
  const self: Record<string, unknown> = {};
  self.self = self;
  return self;
}

describe('the codec json', () => {
  it('refuses what is not JSON', () => {
    for (const content of ['', ' ', '{', "{'a':1}", 'undefined', 'NaN', '1 2', '{"a":1,}', '\u0000']) {
      expect(decodeJson(content), content).toEqual(issue(/^is not JSON: /));
    }
  });

  it('takes any JSON value', () => {
    for (const value of [null, true, 0, 'text', [], {}, { a: [1, { b: null }] }]) {
      expect(decodeJson(JSON.stringify(value))).toEqual({ value });
    }
  });

  it('passes over one byte order mark at the beginning', () => {
    expect(decodeJson('\ufeff{"a":1}')).toEqual({ value: { a: 1 } });
    expect(decodeJson('\ufeff\ufeff{"a":1}')).toEqual(issue(/^is not JSON/));
  });

  it('refuses bytes that are not UTF-8', () => {
    for (const wrong of [[0xff], [0xc3], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0xf5, 0x80, 0x80, 0x80]]) {
      const content = Buffer.concat([Buffer.from('"'), Buffer.from(wrong), Buffer.from('"')]);
      expect(decodeJson(content), content.toString('hex')).toEqual(issue(/^is not valid UTF-8$/));
    }
    expect(decodeJson(Buffer.from('{"a":1}', 'utf16le'))).toEqual(issue(/./));
  });

  it('reads characters of any length', () => {
    expect(decodeJson('"äß€😀"')).toEqual({ value: 'äß€😀' });
  });

  it.each([
    undefined,
    '',
    'application/json',
    'APPLICATION/JSON',
    ' application/json ',
    'text/json',
    'application/cloudevents+json',
    'application/json; charset=utf-8',
    'application/json;charset="UTF-8"',
    'application/json; charset = utf8',
    'application/json; charset=us-ascii',
    'application/json; profile=x; charset=utf-8',
    'application/json; profile=x',
    'application/json;',
  ])('reads the content type %j', (contentType) => {
    expect(decodeJson('1', contentType)).toEqual({ value: 1 });
  });

  it.each(['text/plain', 'application/octet-stream', 'application/xml', 'json', 'application/jsonp', ';', 5])(
    'refuses the content type %j',
    (contentType) => {
      expect(decodeJson('1', contentType)).toEqual(issue(/wrong content type/));
    },
  );

  it.each(['latin1', 'iso-8859-1', 'utf-16', 'utf-16le'])('refuses the charset %s', (charset) => {
    expect(decodeJson('1', `application/json; charset=${charset}`)).toEqual(issue(new RegExp(charset)));
  });

  it.each([undefined, '', 'identity', 'utf-8', 'UTF8', 'us-ascii'])('reads the encoding %j', (encoding) => {
    expect(decodeJson('1', undefined, encoding)).toEqual({ value: 1 });
  });

  it.each(['gzip', 'deflate', 'br', 'base64', 'utf-16', 'utf-8, gzip', 5])(
    'refuses the encoding %j',
    (encoding) => {
      expect(decodeJson('1', undefined, encoding)).toEqual(issue(/content encoding/));
    },
  );

  it('refuses keys that can reach a prototype, with the path, also when they are escaped', () => {
    expect(decodeJson('{"__proto__":{}}')).toEqual(issue(/not allowed/, ['__proto__']));
    expect(decodeJson('{"a":[{"__proto__":1}]}')).toEqual(issue(/not allowed/, ['a', 0, '__proto__']));
    expect(decodeJson('{"\\u005f\\u005fproto\\u005f\\u005f":1}')).toEqual(
      issue(/not allowed/, ['__proto__']),
    );
    expect(decodeJson('{"__\\u0070roto__":1}')).toEqual(issue(/not allowed/, ['__proto__']));
    const path = ['a', 'constructor', 'prototype'];
    expect(decodeJson('{"a":{"constructor":{"prototype":{}}}}')).toEqual(issue(/not allowed/, path));
    expect(decodeJson('{"a":{"constr\\u0075ctor":{"\\u0070rototype":{}}}}')).toEqual(
      issue(/not allowed/, path),
    );
  });

  it('takes keys and values that only look like them', () => {
    for (const value of [
      { constructor: 'Ford' },
      { constructor: { name: 'x' } },
      { prototype: 1 },
      { proto: 1 },
      { text: '__proto__' },
      ['constructor', 'prototype'],
      { constructor: null },
    ]) {
      expect(decodeJson(JSON.stringify(value))).toEqual({ value });
    }
  });

  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'undefined cannot be encoded as JSON'],
    ['a function', () => 1, 'a function cannot be encoded as JSON'],
    ['a symbol', Symbol('s'), 'a symbol cannot be encoded as JSON'],
    ['an object that is nothing in JSON', { toJSON: () => undefined }, 'an object cannot be encoded as JSON'],
    ['a bigint', { n: 1n }, 'cannot be encoded as JSON: Do not know how to serialize a BigInt'],
    [
      'a toJSON that throws',
      {
        toJSON: () => {
          throw new Error('a bug');
        },
      },
      'cannot be encoded as JSON: a bug',
    ],
    [
      'a toJSON that throws what cannot be shown',
      {
        toJSON: () => {
          throw Object.create(null);
        },
      },
      'cannot be encoded as JSON: an error that cannot be shown',
    ],
    ['an object within itself', circle(), expect.stringMatching(/^cannot be encoded as JSON: .*circular/)],
  ])('refuses to encode %s', (_, body, message) => {
    expect(json.encode(body)).toEqual({ issue: { message, path: [] } });
  });

  it.each<[string, unknown, (string | number)[]]>([
    ['as a key', JSON.parse('{"a":{"__proto__":1}}'), ['a', '__proto__']],
    [
      'by way of the constructor',
      { list: [{ constructor: { prototype: 1 } }] },
      ['list', 0, 'constructor', 'prototype'],
    ],
  ])('refuses to encode a key that could reach a prototype, %s', (_, body, path) => {
    expect(json.encode(body)).toEqual({ issue: { message: 'this key is not allowed', path } });
  });

  it('refuses far too deep bodies, and never throws', () => {
    const depth = 200_000;
    let body: unknown = 'proto';
    for (let level = 0; level < depth; level++) body = [body];
    expect(json.encode(body)).toEqual(issue(/cannot be encoded/));
    const decoded = decodeJson(`${'['.repeat(depth)}"proto"${']'.repeat(depth)}`);
    expect(decoded).toHaveProperty('issue');
  });

  it('knows when what arrives is not what was given', () => {
    const exact = (body: unknown) => (json.encode(body) as { exact: boolean }).exact;
    const withKey = Object.assign([1], { extra: 1 });
    class Point {
      x = 1;
    }
    class List extends Array {}
    const changed = [
      Number.NaN,
      -0,
      Infinity,
      { a: undefined },
      [undefined],
      new Array(3),
      new Date(),
      { at: new Date() },
      new Point(),
      List.from([1]),
      withKey,
      { toJSON: () => 1 },
      { f() {} },
      Object('text'),
    ];
    for (const [index, body] of changed.entries()) expect(exact(body), `body ${index}`).toBe(false);
    const same = [
      0,
      'x',
      '\ud800',
      null,
      true,
      [],
      {},
      [[]],
      { a: { b: [1, 'x', null] } },
      Object.create(null),
    ];
    for (const [index, body] of same.entries()) expect(exact(body), `body ${index}`).toBe(true);
  });
});

describe('values that JSON would empty', () => {
  class Secret {
    readonly #value = 1;
    get value(): number {
      return this.#value;
    }
  }
  const emptied: readonly [string, unknown][] = [
    ['Map', new Map([['rows', 12]])],
    ['Set', new Set([1])],
    ['WeakMap', new WeakMap()],
    ['RegExp', /a/],
    ['Error', new Error('no space left')],
    ['TypeError', Object.assign(new TypeError('no'), { code: 'ENOSPC' })],
    ['Promise', Promise.resolve(1)],
    ['ArrayBuffer', new ArrayBuffer(3)],
    ['Uint8Array', new Uint8Array([1])],
    ['URLSearchParams', new URLSearchParams('a=1')],
    ['Secret', new Secret()],
  ];

  it.each(emptied)('are refused with their path: a %s', (name, value) => {
    const lost = new RegExp(`an instance of ${name}:`);
    expect(json.encode(value)).toEqual(issue(lost));
    expect(json.encode({ a: [1, { b: value }] })).toEqual(issue(lost, ['a', 1, 'b']));
  });

  it('are not those that say what is to be written of them, nor those of which JSON loses nothing', () => {
    class Point {
      readonly x = 1;
    }
    class Money {
      readonly #cents = 5;
      toJSON(): number {
        return this.#cents;
      }
    }
    for (const value of [
      new Date(0),
      new Point(),
      new Money(),
      Object(5),
      Object('a'),
      Object.create(null),
      {},
      [],
    ])
      expect(json.encode({ value })).toHaveProperty('content');
    expect(json.encode({ value: Buffer.from('a') })).toHaveProperty('content');
  });
});

describe('content types of other clients', () => {
  const decode = (contentType: unknown, accepted: 'any' | string[], encoding?: unknown) =>
    json.decode(Buffer.from('{"n":1}'), contentType, encoding, accepted);
  const read = { value: { n: 1 } };

  it('are read where the contract says so, beside its own', () => {
    const accepted = ['text/plain', 'application/octet-stream'];
    for (const type of [...accepted, 'Text/Plain; charset=utf-8', 'application/json', undefined])
      expect(decode(type, accepted), String(type)).toEqual(read);
    expect(decode('text/html', accepted)).toEqual(issue(/wrong content type 'text\/html'/));
    expect(decode('text/plain', [])).toEqual(issue(/wrong content type/));
    expect(decode('text/plain; charset=latin1', accepted)).toEqual(issue(/charset/));
  });

  it('do not matter where any is accepted: the body alone decides', () => {
    for (const type of ['text/html', 'x', 5, 'application/json; charset=utf-16'])
      expect(decode(type, 'any', 'gzip'), String(type)).toEqual(read);
    expect(json.decode(Buffer.from('{'), 'text/html', undefined, 'any')).toEqual(issue(/is not JSON/));
    expect(text.decode(Buffer.from('a'), 'application/json', undefined, 'any')).toEqual({ value: 'a' });
  });
});

describe('the codec text', () => {
  it('keeps every well-formed string', () => {
    for (const value of ['', 'a', '\ufeffäß€😀', '\u0000', '{"__proto__":1}']) {
      const encoded = text.encode(value) as { content: Buffer };
      expect(text.decode(encoded.content, 'text/plain', undefined)).toEqual({ value });
    }
  });

  it('refuses what is no text, and what UTF-8 cannot carry', () => {
    expect(text.encode(5)).toEqual(issue(/must be a string/));
    expect(text.encode({})).toEqual(issue(/must be a string/));
    expect(text.encode('a\ud800')).toEqual(issue(/lone surrogate/));
    expect(text.decode(Buffer.from([0xff]), undefined, undefined)).toEqual(issue(/not valid UTF-8/));
  });

  it('reads any kind of text in UTF-8', () => {
    const read = (type?: string, encoding?: string) => text.decode(Buffer.from('ä'), type, encoding);
    for (const type of [undefined, '', 'text/plain', 'text/html; charset=utf-8'])
      expect(read(type)).toEqual({ value: 'ä' });
    expect(read('application/json')).toEqual(issue(/wrong content type/));
    expect(read('text/plain; charset=latin1')).toEqual(issue(/charset 'latin1'/));
    expect(read('text/plain', 'gzip')).toEqual(issue(/content encoding 'gzip'/));
  });
});

describe('the codec bytes', () => {
  it('takes a copy of bytes, and of nothing else', () => {
    const body = Uint8Array.of(1, 2, 255);
    const encoded = bytes.encode(body) as { content: Buffer };
    body[0] = 9;
    expect([...encoded.content]).toEqual([1, 2, 255]);
    for (const other of ['text', [1], new ArrayBuffer(2), undefined, null])
      expect(bytes.encode(other)).toEqual(issue(/must be a Uint8Array/));
  });

  it('copies the part of a buffer that a view shows', () => {
    const whole = Uint8Array.of(1, 2, 3, 4).buffer;
    const encoded = bytes.encode(new Uint8Array(whole, 1, 2)) as { content: Buffer };
    expect([...encoded.content]).toEqual([2, 3]);
  });

  it('reads whatever a message says of itself', () => {
    const content = Buffer.of(0xff, 0);
    expect(bytes.decode(content, 'image/png', 'gzip')).toEqual({ value: content });
    expect(bytes.decode(content, undefined, undefined)).toEqual({ value: content });
  });
});
