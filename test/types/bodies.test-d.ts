import { type } from 'arktype';
import { type Broker, exchange, type InputOf, type Message, type OutputOf, queue } from 'leveret';
import * as v from 'valibot';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import * as z3 from 'zod/v3';

declare const broker: Broker;

const orders = queue(
  'orders',
  z.object({
    id: z.string(),
    placed: z.iso.datetime().transform((text) => new Date(text)),
    quantity: z.number().default(1),
    total: z.coerce.number(),
    note: z.string().optional(),
  }),
);

interface OrderOut {
  id: string;
  placed: Date;
  quantity: number;
  total: number;
  note?: string | undefined;
}

describe('a handler', () => {
  it('gets what the schema makes of the body', () => {
    broker.consumer(orders, (message) => {
      expectTypeOf(message.body).toEqualTypeOf<OrderOut>();
      expectTypeOf(message.id).toEqualTypeOf<string | undefined>();
      expectTypeOf(message.attempt).toEqualTypeOf<number>();
      expectTypeOf(message.redelivered).toEqualTypeOf<boolean>();
      expectTypeOf(message.signal).toEqualTypeOf<AbortSignal>();
      expectTypeOf(message.raw).toEqualTypeOf<Uint8Array>();
      expectTypeOf(message.timestamp).toEqualTypeOf<Date | undefined>();
      expectTypeOf(message.ack()).toEqualTypeOf<boolean>();
      expectTypeOf(message.retry({ delayMs: 5 })).toEqualTypeOf<boolean>();
      expectTypeOf(message.deadLetter('why')).toEqualTypeOf<boolean>();
      expectTypeOf(message.requeue()).toEqualTypeOf<boolean>();
      // @ts-expect-error a message is read-only
      message.attempt = 2;
    });
  });

  it('may be asynchronous, and may take apart what it gets', () => {
    const consumer = broker.consumer(orders, async ({ body }) => body.placed.getTime(), { concurrency: 2 });
    expectTypeOf(consumer.ready).toEqualTypeOf<Promise<void>>();
    expectTypeOf(consumer.closed).toEqualTypeOf<Promise<Error | undefined>>();
  });

  it('of another body does not compile', () => {
    // @ts-expect-error `placed` is a Date
    broker.consumer(orders, (message: Message<{ placed: string }>) => void message);
    // @ts-expect-error there is no such field
    broker.consumer(orders, ({ body }) => body.price);
  });

  it('gets any and unknown as the schema says', () => {
    broker.consumer(queue('q', z.unknown()), ({ body }) => expectTypeOf(body).toBeUnknown());
    broker.consumer(queue('q', z.any()), ({ body }) => expectTypeOf(body).toBeAny());
    broker.consumer(queue('q', z.coerce.date()), ({ body }) => expectTypeOf(body).toEqualTypeOf<Date>());
  });

  it('gets text and bytes where the codec says so', () => {
    const notes = queue('q', z.string(), { codec: 'text' });
    broker.consumer(notes, ({ body }) => expectTypeOf(body).toEqualTypeOf<string>());
    const blobs = queue('q', z.custom<Uint8Array>(), { codec: 'bytes' });
    broker.consumer(blobs, ({ body }) => expectTypeOf(body).toEqualTypeOf<Uint8Array>());
  });

  it('gets what an exchange carries, from its queues and its subscriptions', () => {
    const events = exchange('events', z.object({ at: z.coerce.date() }), { type: 'topic' });
    broker.consumer(events.queue('q', '#'), ({ body }) => {
      expectTypeOf(body).toEqualTypeOf<{ at: Date }>();
    });
    broker.consumer(events.subscription('eu.#'), ({ body }) => {
      expectTypeOf(body).toEqualTypeOf<{ at: Date }>();
    });
  });
});

describe('a consumer without a handler', () => {
  it('iterates over typed messages', async () => {
    const consumer = broker.consumer(orders, { prefetch: 10 });
    expectTypeOf(consumer).toExtend<AsyncIterable<Message<OrderOut>>>();
    for await (const message of broker.consumer(orders)) {
      expectTypeOf(message.body).toEqualTypeOf<OrderOut>();
    }
    const events = exchange('events', z.object({ n: z.number() }), { type: 'fanout' });
    for await (const { body } of broker.consumer(events.subscription())) {
      expectTypeOf(body).toEqualTypeOf<{ n: number }>();
    }
  });

  it('takes no unknown options', () => {
    // @ts-expect-error there is no such option
    broker.consumer(orders, { parallel: 5 });
    // @ts-expect-error there is no such option
    broker.consumer(orders, () => undefined, { parallel: 5 });
    // @ts-expect-error an exchange is not consumed from; a queue or a subscription of it is
    broker.consumer(exchange('e', z.string()), () => undefined);
  });
});

describe('send', () => {
  const producer = broker.producer(orders);

  it('takes what the schema takes', () => {
    expectTypeOf<InputOf<typeof orders.schema>>().toEqualTypeOf<{
      id: string;
      placed: string;
      quantity?: number | undefined;
      total: unknown;
      note?: string | undefined;
    }>();
    void producer.send({ id: '1', placed: '2026-01-01T00:00:00Z', total: '12.50' });
    expectTypeOf(producer.send).returns.resolves.toExtend<{ readonly messageId: string }>();
  });

  it('takes nothing else', () => {
    // @ts-expect-error `placed` is a string when it is sent
    void producer.send({ id: '1', placed: new Date(), total: 1 });
    // @ts-expect-error `id` is missing
    void producer.send({ placed: '2026-01-01T00:00:00Z', total: 1 });
    // @ts-expect-error there is no field `extra`
    void producer.send({ id: '1', placed: '2026-01-01T00:00:00Z', total: 1, extra: true });
    // @ts-expect-error nothing is no body
    void producer.send();
    // @ts-expect-error there is no such option
    void producer.send({ id: '1', placed: '', total: 1 }, { persistent: true });
    // @ts-expect-error a header holds no function
    void producer.send({ id: '1', placed: '', total: 1 }, { headers: { a: () => 1 } });
    // @ts-expect-error there is no such option
    broker.producer(orders, { window: 5 });
  });

  it('refuses excess fields also deep inside and in unions', () => {
    const deep = broker.producer(queue('q', z.object({ a: z.object({ b: z.string() }) })));
    // @ts-expect-error there is no field `c`
    void deep.send({ a: { b: 'x', c: 1 } });
    const either = broker.producer(
      queue(
        'q',
        z.discriminatedUnion('kind', [
          z.object({ kind: z.literal('a'), a: z.string() }),
          z.object({ kind: z.literal('b'), b: z.number() }),
        ]),
      ),
    );
    void either.send({ kind: 'b', b: 1 });
    // @ts-expect-error `a` belongs to the other kind
    void either.send({ kind: 'b', b: 1, a: 'x' });
  });
});

describe('other schema libraries', () => {
  it('valibot infers input and output', () => {
    const contract = queue(
      'q',
      v.object({ n: v.pipe(v.string(), v.transform(Number)), tags: v.optional(v.array(v.string()), []) }),
    );
    expectTypeOf<InputOf<typeof contract.schema>>().toEqualTypeOf<{
      n: string;
      tags?: string[] | undefined;
    }>();
    broker.consumer(contract, ({ body }) => {
      expectTypeOf(body).toEqualTypeOf<{ n: number; tags: string[] }>();
    });
    // @ts-expect-error `n` is a string when it is sent
    void broker.producer(contract).send({ n: 5 });
    // @ts-expect-error a Date is not JSON
    queue('q', v.object({ at: v.date() }));
    // @ts-expect-error nor is a bigint
    exchange('e', v.bigint());
  });

  it('arktype infers input and output', () => {
    const contract = queue('q', type({ n: 'string.numeric.parse', 'note?': 'string' }));
    expectTypeOf<InputOf<typeof contract.schema>>().toEqualTypeOf<{ n: string; note?: string }>();
    expectTypeOf<OutputOf<typeof contract.schema>>().toEqualTypeOf<{ n: number; note?: string }>();
    broker.consumer(contract, ({ body }) => expectTypeOf(body.n).toEqualTypeOf<number>());
    void broker.producer(contract).send({ n: '5' });
    // @ts-expect-error a Date is not JSON
    queue('q', type({ at: 'Date' }));
    // @ts-expect-error nor is a bigint
    exchange('e', type({ n: 'bigint' }));
  });

  it('zod 3 infers input and output', () => {
    const contract = queue('q', z3.object({ n: z3.string().transform(Number) }));
    broker.consumer(contract, ({ body }) => expectTypeOf(body).toEqualTypeOf<{ n: number }>());
    void broker.producer(contract).send({ n: '5' });
    // @ts-expect-error a Date is not JSON
    queue('q', z3.object({ at: z3.date() }));
  });
});
