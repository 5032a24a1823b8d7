import {
  type Broker,
  exchange,
  isLeveretError,
  type Message,
  type Producer,
  procedure,
  queue,
} from 'leveret';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

declare const broker: Broker;

function ours<Body extends z.ZodType>(name: string, body: Body) {
  return queue(`ours.${name}`, body, { retry: { attempts: 3 } });
}
function traced<Body extends z.ZodType>(name: string, body: Body) {
  return queue(name, z.object({ traceId: z.string(), body }));
}
function happened<Body extends z.ZodType>(name: string, body: Body) {
  return exchange(name, z.object({ at: z.iso.datetime(), body }), { type: 'topic' });
}
function asked<Body extends z.ZodType, Answer extends z.ZodType>(
  name: string,
  request: Body,
  response: Answer,
) {
  return procedure(name, { request, response });
}

describe('a contract made by a generic function', () => {
  it('keeps the types of its schema', () => {
    const emails = ours('emails', z.object({ to: z.string(), tries: z.number().default(1) }));
    expectTypeOf<Parameters<Producer<typeof emails>['send']>[0]>().toEqualTypeOf<{
      to: string;
      tries?: number | undefined;
    }>();
    broker.consumer(emails, ({ body }) => {
      expectTypeOf(body).toEqualTypeOf<{ to: string; tries: number }>();
    });
  });

  it('keeps the types of what a schema of its own wraps', () => {
    const orders = traced('orders', z.object({ id: z.string() }));
    broker.consumer(orders, ({ body }) => {
      expectTypeOf(body.body.id).toEqualTypeOf<string>();
      expectTypeOf(body.traceId).toEqualTypeOf<string>();
    });
    const events = happened('events', z.object({ id: z.string() }));
    broker.consumer(events.queue('mine', '#'), ({ body }) => {
      expectTypeOf(body.body.id).toEqualTypeOf<string>();
    });
  });

  it('is a procedure too', () => {
    const quote = asked('quote', z.object({ sku: z.string() }), z.object({ price: z.number() }));
    expectTypeOf(broker.request(quote, { sku: 'A1' })).resolves.toEqualTypeOf<{ price: number }>();
  });

  it('is refused where a schema that is known is not JSON', () => {
    // @ts-expect-error a Date is not JSON
    queue('dates', z.object({ at: z.date() }));
    // @ts-expect-error nor is a bigint
    exchange('big', z.object({ n: z.array(z.object({ deep: z.bigint() })) }));
    // @ts-expect-error nor is undefined
    procedure('nothing', { request: z.object({}), response: z.void() });
    // @ts-expect-error text is a string
    queue('text', z.number(), { codec: 'text' });
  });
});

describe('a list of contracts with different schemas', () => {
  const all = [queue('a', z.object({ a: z.string() })), queue('b', z.object({ b: z.number() }))] as const;

  it('can be looped over', () => {
    for (const contract of all) {
      broker.producer(contract);
      broker.deadLetters(contract);
      broker.consumer(contract, ({ body }) => {
        expectTypeOf(body).toEqualTypeOf<{ a: string } | { b: number }>();
      });
      broker.batchConsumer(contract, (messages) => {
        expectTypeOf(messages).toExtend<readonly Message<{ a: string } | { b: number }>[]>();
      });
      expectTypeOf(broker.consumer(contract)[Symbol.asyncIterator]().next).returns.resolves.toHaveProperty(
        'value',
      );
    }
  });

  it('can be an array of which nothing more is known', () => {
    const list = [queue('a', z.object({ a: z.string() })), queue('b', z.object({ b: z.number() }))];
    for (const contract of list) {
      broker.consumer(contract, (message) => {
        expectTypeOf(message.id).toEqualTypeOf<string | undefined>();
      });
    }
  });
});

describe('isLeveretError', () => {
  it('narrows by code', () => {
    const error: unknown = undefined;
    if (!isLeveretError(error)) return;
    if (error.code === 'INVALID_BODY') expectTypeOf(error.issues).toExtend<readonly { message: string }[]>();
    if (error.code === 'REMOTE') expectTypeOf(error.remoteCode).toEqualTypeOf<string>();
    if (error.code === 'TIMEOUT') expectTypeOf(error.maybeDelivered).toEqualTypeOf<boolean>();
    if (error.code === 'MISMATCH') expectTypeOf(error.target).toEqualTypeOf<string>();
    expectTypeOf(error.message).toEqualTypeOf<string>();
  });
});
