import { exchange, type QueueContract, queue } from 'leveret';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

describe('a schema whose input is JSON', () => {
  it('is accepted with optional fields, records, unions, tuples, enums and brands', () => {
    const colour = z.enum(['red', 'green']);
    queue('q', z.object({ a: z.string().optional(), b: z.number().nullish(), c: z.string().default('x') }));
    queue('q', z.record(z.string(), z.object({ n: z.number() })));
    queue('q', z.record(colour, z.number()));
    queue('q', z.union([z.string(), z.object({ n: z.number() }), z.array(z.boolean())]));
    queue(
      'q',
      z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('a'), a: z.string() }),
        z.object({ kind: z.literal('b'), b: z.number() }),
      ]),
    );
    queue('q', z.tuple([z.string(), z.number()]));
    queue('q', z.tuple([z.string()]).rest(z.number()));
    queue('q', colour);
    queue('q', z.object({ id: z.string().brand<'Id'>(), count: z.number().brand<'Count'>() }));
    queue('q', z.object({ a: z.string() }).brand<'Whole'>());
    queue('q', z.object({ at: z.iso.datetime(), id: z.uuid(), to: z.email() }));
    queue('q', z.looseObject({ a: z.string() }));
    queue('q', z.object({ a: z.string() }).readonly());
    queue('q', z.null());
    queue('q', z.literal('only'));
    queue('q', z.json());
  });

  it('is accepted where it holds unknown or any', () => {
    queue('q', z.any());
    queue('q', z.unknown());
    queue('q', z.coerce.number());
    queue('q', z.coerce.date());
    queue('q', z.object({ at: z.coerce.date(), n: z.coerce.number(), rest: z.any(), more: z.unknown() }));
    queue('q', z.array(z.unknown()));
    exchange('e', z.object({ at: z.coerce.date() }));
  });

  it('is accepted where only its output is not JSON', () => {
    queue('q', z.object({ at: z.iso.datetime().transform((text) => new Date(text)) }));
    queue('q', z.object({ n: z.string().transform((text) => BigInt(text)) }));
    queue(
      'q',
      z.codec(z.iso.datetime(), z.date(), {
        decode: (text) => new Date(text),
        encode: (date) => date.toISOString(),
      }),
    );
  });

  it('is accepted when it is recursive, with getters or lazily', () => {
    const category = z.object({
      name: z.string(),
      get children() {
        return z.array(category);
      },
    });
    const categories = queue('q', category);
    expectTypeOf<(typeof categories)['schema']>().toEqualTypeOf<typeof category>();

    interface Tree {
      value: number;
      left?: Tree | undefined;
    }
    const tree: z.ZodType<Tree, Tree> = z.lazy(() => z.object({ value: z.number(), left: tree.optional() }));
    queue('q', tree);
    exchange('e', tree);

    type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
    const json: z.ZodType<Json, Json> = z.lazy(() =>
      z.union([z.string(), z.number(), z.boolean(), z.null(), z.array(json), z.record(z.string(), json)]),
    );
    queue('q', json);
  });

  it('is refused when it is recursive and holds a date', () => {
    interface Log {
      at: Date;
      before?: Log | undefined;
    }
    const log: z.ZodType<Log, Log> = z.lazy(() => z.object({ at: z.date(), before: log.optional() }));
    // @ts-expect-error a Date is not JSON
    queue('q', log);
  });
});

describe('a schema whose input JSON cannot carry', () => {
  it('does not compile at queue()', () => {
    // @ts-expect-error a Date becomes a string
    queue('q', z.date());
    // @ts-expect-error so it does in an object
    queue('q', z.object({ at: z.date() }));
    // @ts-expect-error and in an array
    queue('q', z.array(z.object({ at: z.date() })));
    // @ts-expect-error and in a tuple
    queue('q', z.tuple([z.string(), z.date()]));
    // @ts-expect-error and in one arm of a union
    queue('q', z.union([z.string(), z.date()]));
    // @ts-expect-error and in a record
    queue('q', z.record(z.string(), z.date()));
    // @ts-expect-error and where it is optional
    queue('q', z.object({ at: z.date().optional() }));
    // @ts-expect-error JSON has no bigint
    queue('q', z.bigint());
    // @ts-expect-error nor in an object
    queue('q', z.object({ n: z.bigint() }));
    // @ts-expect-error a Map becomes {}
    queue('q', z.map(z.string(), z.number()));
    // @ts-expect-error a Set becomes {}
    queue('q', z.object({ tags: z.set(z.string()) }));
    // @ts-expect-error a function is left out
    queue('q', z.object({ callback: z.custom<() => void>() }));
    // @ts-expect-error a symbol is left out
    queue('q', z.symbol());
    // @ts-expect-error an instance loses its class
    queue('q', z.object({ page: z.instanceof(URL) }));
    // @ts-expect-error bytes become an object of numbers
    queue('q', z.instanceof(Uint8Array));
    // @ts-expect-error also inside of an object
    queue('q', z.object({ image: z.instanceof(Uint8Array) }));
    // @ts-expect-error also when the codec is given
    queue('q', z.instanceof(Uint8Array), { codec: 'json' });
    // @ts-expect-error undefined is no JSON at all
    queue('q', z.undefined());
    // @ts-expect-error nor is an optional body
    queue('q', z.string().optional());
    // @ts-expect-error nor is void
    queue('q', z.void());
    // @ts-expect-error a promise becomes {}
    queue('q', z.object({ later: z.promise(z.string()) }));
  });

  it('does not compile at exchange()', () => {
    // @ts-expect-error a Date becomes a string
    exchange('e', z.object({ at: z.date() }));
    // @ts-expect-error JSON has no bigint
    exchange('e', z.bigint(), { type: 'fanout' });
    // @ts-expect-error a Map becomes {}
    exchange('e', z.map(z.string(), z.number()));
    // @ts-expect-error a Set becomes {}
    exchange('e', z.set(z.string()));
    // @ts-expect-error bytes need their codec
    exchange('e', z.instanceof(Uint8Array), { type: 'topic' });
    // @ts-expect-error undefined is no JSON at all
    exchange('e', z.undefined());
    // @ts-expect-error a function is left out
    exchange('e', z.object({ callback: z.custom<() => void>() }));
  });
});

describe('the codec', () => {
  it("'bytes' takes a schema of bytes only", () => {
    const blobs = queue('q', z.instanceof(Uint8Array), { codec: 'bytes' });
    expectTypeOf(blobs).toExtend<QueueContract>();
    queue('q', z.instanceof(Buffer), { codec: 'bytes' });
    queue('q', z.any(), { codec: 'bytes' });
    exchange('e', z.instanceof(Uint8Array), { type: 'fanout', codec: 'bytes' });
    // @ts-expect-error a string is not bytes
    queue('q', z.string(), { codec: 'bytes' });
    // @ts-expect-error an object is not bytes
    queue('q', z.object({ a: z.string() }), { codec: 'bytes' });
    // @ts-expect-error perhaps bytes is not bytes
    queue('q', z.instanceof(Uint8Array).optional(), { codec: 'bytes' });
    // @ts-expect-error an object is not bytes
    exchange('e', z.object({ a: z.string() }), { codec: 'bytes' });
  });

  it("'text' takes a schema of strings only", () => {
    queue('q', z.string(), { codec: 'text' });
    queue('q', z.enum(['a', 'b']), { codec: 'text' });
    queue('q', z.string().transform(Number), { codec: 'text' });
    queue('q', z.unknown(), { codec: 'text' });
    exchange('e', z.string().min(1), { type: 'direct', codec: 'text' });
    // @ts-expect-error a number is not text
    queue('q', z.number(), { codec: 'text' });
    // @ts-expect-error an object is not text
    queue('q', z.object({ a: z.string() }), { codec: 'text' });
    // @ts-expect-error bytes are not text
    queue('q', z.instanceof(Uint8Array), { codec: 'text' });
    // @ts-expect-error perhaps a string is not a string
    queue('q', z.string().nullable(), { codec: 'text' });
    // @ts-expect-error bytes are not text
    exchange('e', z.instanceof(Uint8Array), { codec: 'text' });
  });

  it('that does not exist does not compile', () => {
    // @ts-expect-error there is no such codec
    queue('q', z.string(), { codec: 'xml' });
  });
});

describe('what is no schema', () => {
  it('does not compile', () => {
    // @ts-expect-error a plain object
    queue('q', { a: 'string' });
    // @ts-expect-error nothing
    queue('q');
    // @ts-expect-error a number
    exchange('e', 5);
  });
});
