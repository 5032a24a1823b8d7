import { Scope } from '@nestjs/common';
import { exchange, type Message, type Producer, procedure } from 'leveret';
import {
  type AnswerOf,
  Consumer,
  InjectProducer,
  InjectRequester,
  LeveretHealthIndicator,
  LeveretModule,
  type MessageOf,
  type Requester,
  Responder,
} from 'leveret/nestjs';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

const orders = exchange('orders', z.object({ id: z.string(), total: z.coerce.number<string>() }));
const billing = orders.queue('billing', 'eu.*');
const watch = orders.subscription('#');
const quote = procedure('quote', {
  request: z.object({ sku: z.string() }),
  response: z.object({ price: z.string().transform(Number) }),
});

describe('the types of a handler', () => {
  it('are those of its contract', () => {
    expectTypeOf<MessageOf<typeof billing>>().toEqualTypeOf<Message<{ id: string; total: number }>>();
    expectTypeOf<MessageOf<typeof watch>>().toEqualTypeOf<Message<{ id: string; total: number }>>();
    expectTypeOf<MessageOf<typeof quote>>().toEqualTypeOf<Message<{ sku: string }>>();
    expectTypeOf<AnswerOf<typeof quote>>().toEqualTypeOf<{ price: string }>();
    expectTypeOf<Requester<typeof quote>['request']>().returns.resolves.toEqualTypeOf<{ price: number }>();
  });

  it('are checked at the decorator of a consumer', () => {
    @Consumer(billing, {
      concurrency: 10,
      scope: Scope.REQUEST,
      broker: 'other',
      orderBy: ({ body }) => body.id,
    })
    class Right {
      readonly producer: Producer<typeof orders>;
      constructor(producer: Producer<typeof orders>) {
        this.producer = producer;
      }
      async handle({ body }: MessageOf<typeof billing>) {
        expectTypeOf(body.total).toBeNumber();
      }
    }
    @Consumer(watch)
    class AsksForLess {
      handle(_message: Message<{ id: string }>) {}
    }
    @Consumer(billing)
    class AsksForNothing {
      handle() {}
    }
    // @ts-expect-error: there is no handle
    @Consumer(billing)
    class Without {}
    // @ts-expect-error: the message of another contract
    @Consumer(billing)
    class OfAnother {
      handle(_message: MessageOf<typeof quote>) {}
    }
    // @ts-expect-error: more than the output has
    @Consumer(billing)
    class AsksForMore {
      handle(_message: Message<{ id: string; total: number; paid: boolean }>) {}
    }
    // @ts-expect-error: the output has a number, the input a text
    @Consumer(billing)
    class AsksForInput {
      handle(_message: Message<{ total: string }>) {}
    }
    // @ts-expect-error: an unknown option
    @Consumer(billing, { concurency: 10 })
    class Misspelt {
      handle() {}
    }
    // @ts-expect-error: an exchange is consumed by a queue of its own
    @Consumer(orders)
    class OfExchange {
      handle() {}
    }
    void [
      Right,
      AsksForLess,
      AsksForNothing,
      Without,
      OfAnother,
      AsksForMore,
      AsksForInput,
      Misspelt,
      OfExchange,
    ];
  });

  it('are checked at the decorator of a responder', () => {
    @Responder(quote, { concurrency: 2 })
    class Right {
      async handle({ body }: MessageOf<typeof quote>): Promise<AnswerOf<typeof quote>> {
        return { price: body.sku };
      }
    }
    @Responder(quote)
    class AtOnce {
      handle() {
        return { price: '12' };
      }
    }
    // @ts-expect-error: the answer is the input of the response's schema, a text
    @Responder(quote)
    class AnswersOutput {
      async handle() {
        return { price: 12 };
      }
    }
    // @ts-expect-error: no answer
    @Responder(quote)
    class AnswersNothing {
      async handle() {}
    }
    // @ts-expect-error: the message of another contract
    @Responder(quote)
    class OfAnother {
      handle({ body }: MessageOf<typeof billing>) {
        return { price: body.id };
      }
    }
    // @ts-expect-error: an answer is always acknowledged
    @Responder(quote, { noAck: true })
    class WithoutAck {
      handle() {
        return { price: '12' };
      }
    }
    // @ts-expect-error: a queue has no answers
    @Responder(billing)
    class OfQueue {
      handle() {}
    }
    void [Right, AtOnce, AnswersOutput, AnswersNothing, OfAnother, WithoutAck, OfQueue];
  });
});

it('has types of injection, features and health', async () => {
  class Shop {
    readonly events: Producer<typeof orders>;
    readonly quotes: Requester<typeof quote>;
    constructor(
      @InjectProducer(orders) events: Producer<typeof orders>,
      @InjectRequester(quote) quotes: Requester<typeof quote>,
    ) {
      this.events = events;
      this.quotes = quotes;
    }
  }
  expectTypeOf<Shop['quotes']['request']>().parameter(0).toEqualTypeOf<{ sku: string }>();
  LeveretModule.forFeature([orders, billing, quote]);
  LeveretModule.forRoot({ url: 'amqp://localhost', broker: 'other', name: 'billing', wait: undefined });
  LeveretModule.forRootAsync({ inject: ['url'], useFactory: async (url: string) => ({ url }) });
  // @ts-expect-error: a subscription is not sent to
  LeveretModule.forFeature([watch]);
  // @ts-expect-error: there is no default for the URL
  LeveretModule.forRoot({ name: 'billing' });
  LeveretModule.forRootAsync({ broker: 'other', useFactory: () => ({ url: 'memory:' }) });
  // @ts-expect-error: the name of the broker belongs beside the factory
  LeveretModule.forRootAsync({ useFactory: () => ({ url: 'memory:', broker: 'other' }) });
  // @ts-expect-error: one of the three
  LeveretModule.forRootAsync({});
  // @ts-expect-error: an exchange gives no answers
  void InjectRequester(orders);

  const health = new LeveretHealthIndicator({ hosts: [], failures: [] });
  expectTypeOf(await health.isReady()).toEqualTypeOf<
    Record<'leveret', { status: 'up' | 'down'; brokers: Record<string, 'up' | 'degraded' | 'down'> }>
  >();
  expectTypeOf(await health.isAlive('life').then((it) => it.life.status)).toEqualTypeOf<'up' | 'down'>();
});
