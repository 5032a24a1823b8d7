import { type Broker, type Consumer, type Message, queue } from 'leveret';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

declare const broker: Broker;
const contract = queue('numbers', z.object({ n: z.string().transform(Number) }));

describe('a consumer of batches', () => {
  it('gets the output of the schema, many at a time', () => {
    const consumer = broker.batchConsumer(contract, async (messages, { signal }) => {
      expectTypeOf(messages).toEqualTypeOf<readonly Message<{ n: number }>[]>();
      expectTypeOf(signal).toEqualTypeOf<AbortSignal>();
    });
    expectTypeOf(consumer).toEqualTypeOf<Consumer<{ n: number }>>();
    broker.batchConsumer(contract, () => undefined, { size: 5, maxWaitMs: 100, concurrency: 2 });
    // @ts-expect-error a batch is acknowledged
    broker.batchConsumer(contract, () => undefined, { noAck: true });
    // @ts-expect-error it needs a handler
    broker.batchConsumer(contract, { size: 5 });
  });
});

describe('a handler that orders by a key', () => {
  it('sees the output of the schema', () => {
    broker.consumer(contract, () => undefined, {
      orderBy: (message) => {
        expectTypeOf(message.body).toEqualTypeOf<{ n: number }>();
        expectTypeOf(message.offset).toEqualTypeOf<number | undefined>();
        return message.id;
      },
    });
    for (const key of ['a', 1, 1n, true, null, undefined, new Date()])
      broker.consumer(contract, () => undefined, { orderBy: () => key });
    // @ts-expect-error each array is another key
    broker.consumer(contract, () => undefined, { orderBy: ({ body }) => [body.n] });
    // @ts-expect-error each object is another key
    broker.consumer(contract, () => undefined, { orderBy: ({ body }) => body });
    // @ts-expect-error a promise is no key
    broker.consumer(contract, () => undefined, { orderBy: async ({ body }) => body.n });
    broker.consumer(contract, () => undefined, { offset: new Date() });
    // @ts-expect-error a loop has an order of its own
    broker.consumer(contract, { orderBy: () => 1 });
    // @ts-expect-error there is no such place
    broker.consumer(contract, () => undefined, { offset: 'end' });
  });
});
