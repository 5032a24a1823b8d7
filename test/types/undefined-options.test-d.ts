import type {
  BatchConsumerOptions,
  Binding,
  BrokerOptions,
  CloseOptions,
  ConsumerOptions,
  ExchangeOptions,
  HandlerOptions,
  ListDeadLettersOptions,
  ProcedureOptions,
  ProducerOptions,
  QueueOptions,
  ReconnectOptions,
  ReplayOptions,
  RequestOptions,
  ResponderOptions,
  RetryOptions,
  SendAllOptions,
  SendOptions,
  SubscriptionOptions,
} from 'leveret';
import { type Broker, type Consumer, exchange, type Inbox, memoryStore, procedure, queue } from 'leveret';
import type { LeveretInstrumentationConfig } from 'leveret/opentelemetry';
import type { TestBroker, TestBrokerOptions } from 'leveret/testing';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

/** The options with every optional one given as undefined, as a program does that passes its own settings on. */
type GivenAsUndefined<O> = O extends unknown
  ? { [K in keyof O as undefined extends O[K] ? K : never]: O[K] | undefined } & {
      [K in keyof O as undefined extends O[K] ? never : K]: O[K];
    }
  : never;

declare const broker: Broker;
declare const inbox: Inbox<1>;
declare const consumer: Consumer;
declare const testBroker: TestBroker;

describe('an option', () => {
  it('takes undefined for its default', () => {
    expectTypeOf<GivenAsUndefined<Required<{ a: 1 }>>>().toExtend<{ a: 1 }>();
    expectTypeOf<GivenAsUndefined<BatchConsumerOptions>>().toExtend<BatchConsumerOptions>();
    expectTypeOf<GivenAsUndefined<Binding>>().toExtend<Binding>();
    expectTypeOf<GivenAsUndefined<BrokerOptions>>().toExtend<BrokerOptions>();
    expectTypeOf<GivenAsUndefined<CloseOptions>>().toExtend<CloseOptions>();
    expectTypeOf<GivenAsUndefined<ConsumerOptions>>().toExtend<ConsumerOptions>();
    expectTypeOf<GivenAsUndefined<ExchangeOptions>>().toExtend<ExchangeOptions>();
    expectTypeOf<GivenAsUndefined<HandlerOptions>>().toExtend<HandlerOptions>();
    expectTypeOf<GivenAsUndefined<ListDeadLettersOptions>>().toExtend<ListDeadLettersOptions>();
    expectTypeOf<GivenAsUndefined<ProcedureOptions>>().toExtend<ProcedureOptions>();
    expectTypeOf<GivenAsUndefined<ProducerOptions>>().toExtend<ProducerOptions>();
    expectTypeOf<GivenAsUndefined<QueueOptions>>().toExtend<QueueOptions>();
    expectTypeOf<GivenAsUndefined<ReconnectOptions>>().toExtend<ReconnectOptions>();
    expectTypeOf<GivenAsUndefined<ReplayOptions>>().toExtend<ReplayOptions>();
    expectTypeOf<GivenAsUndefined<RequestOptions>>().toExtend<RequestOptions>();
    expectTypeOf<GivenAsUndefined<ResponderOptions>>().toExtend<ResponderOptions>();
    expectTypeOf<GivenAsUndefined<RetryOptions>>().toExtend<RetryOptions>();
    expectTypeOf<GivenAsUndefined<SendAllOptions<string, SendOptions>>>().toExtend<
      SendAllOptions<string, SendOptions>
    >();
    expectTypeOf<GivenAsUndefined<SendOptions>>().toExtend<SendOptions>();
    expectTypeOf<GivenAsUndefined<SubscriptionOptions>>().toExtend<SubscriptionOptions>();
    expectTypeOf<GivenAsUndefined<TestBrokerOptions>>().toExtend<TestBrokerOptions>();
    expectTypeOf<GivenAsUndefined<LeveretInstrumentationConfig>>().toExtend<LeveretInstrumentationConfig>();
  });

  it('takes undefined where it is written down', () => {
    const schema = z.object({ n: z.number() });
    const jobs = queue('jobs', schema, { codec: undefined, type: undefined });
    exchange('events', schema, { codec: undefined });
    procedure('add', { request: schema, response: schema, codec: undefined });
    broker.consumer(jobs, ({ body }) => expectTypeOf(body.n).toEqualTypeOf<number>(), {
      inbox,
      idempotency: undefined,
    });
    broker.consumer(jobs, () => {}, { idempotency: { store: memoryStore() }, inbox: undefined });
    broker.consumer(jobs, () => {}, { idempotency: undefined, inbox: undefined, idempotencyKey: undefined });
    // @ts-expect-error the default codec is JSON
    queue('times', z.date(), { codec: undefined });
  });

  it('takes undefined in a call', async () => {
    await consumer.close({ timeoutMs: undefined });
    await testBroker.close({ timeoutMs: undefined, signal: undefined });
    await testBroker.disconnect({ for: undefined });
  });
});
