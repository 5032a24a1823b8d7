import {
  Broker,
  type BrokerEvent,
  type BrokerEvents,
  DeadLetter,
  type DeadLetterEntry,
  type Issue,
  type QueueContract,
  queue,
  type ReplayResult,
  RetryLater,
  type Role,
} from 'leveret';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

declare const broker: Broker;
declare const contract: QueueContract;

describe('broker.on', () => {
  it("knows no event called 'error'", () => {
    // @ts-expect-error there is no such event
    broker.on('error', () => undefined);
    // @ts-expect-error there is no such event
    broker.off('error', () => undefined);
    // @ts-expect-error there is no such event
    broker.on('close', () => undefined);
    expectTypeOf<BrokerEvent>().toEqualTypeOf<
      | 'connected'
      | 'disconnected'
      | 'connect-failed'
      | 'blocked'
      | 'unblocked'
      | 'consumer-failed'
      | 'consumer-recovered'
      | 'topology-restored'
      | 'invalid-message'
      | 'handler-error'
      | 'dead-lettered'
      | 'dead-letter-failed'
      | 'outbox-stuck'
      | 'duplicate'
      | 'no-message-id'
    >();
  });

  it('types what each listener gets', () => {
    broker
      .on('connected', ({ address }) => expectTypeOf(address).toEqualTypeOf<string>())
      .on('disconnected', ({ connection, error, delayMs }) => {
        expectTypeOf(connection).toEqualTypeOf<Role>();
        expectTypeOf(error).toEqualTypeOf<Error>();
        expectTypeOf(delayMs).toEqualTypeOf<number>();
      })
      .on('connect-failed', ({ attempt }) => expectTypeOf(attempt).toEqualTypeOf<number>())
      .on('blocked', ({ reason }) => expectTypeOf(reason).toEqualTypeOf<string>())
      .on('unblocked', () => undefined)
      .on('consumer-recovered', ({ queue, downMs }) => {
        expectTypeOf(queue).toEqualTypeOf<string>();
        expectTypeOf(downMs).toEqualTypeOf<number>();
      })
      .on('invalid-message', ({ messageId, issues }) => {
        expectTypeOf(messageId).toEqualTypeOf<string | undefined>();
        expectTypeOf(issues).toEqualTypeOf<readonly Issue[]>();
      })
      .on('handler-error', ({ attempt, error }) => {
        expectTypeOf(attempt).toEqualTypeOf<number>();
        expectTypeOf(error).toBeUnknown();
      })
      .on('dead-lettered', (event) => {
        expectTypeOf(event).toEqualTypeOf<BrokerEvents['dead-lettered']>();
        expectTypeOf(event.deadLetterQueue).toEqualTypeOf<string | undefined>();
        // @ts-expect-error an event is read-only
        event.queue = 'other';
      });
    // @ts-expect-error a connected event has no error
    broker.on('connected', ({ error }) => error);
  });
});

describe('a broker', () => {
  it('takes a URL or a list, and known options', () => {
    expectTypeOf(Broker.connect('amqp://localhost')).resolves.toEqualTypeOf<Broker>();
    void Broker.connect();
    void Broker.connect(['amqp://a', 'amqp://b'] as const, { name: 'billing', startupTimeoutMs: Infinity });
    void Broker.connect('amqp://a', { credentials: async () => ({ username: 'a', password: 'b' }) });
    void Broker.connect('amqp://a', { credentials: () => ({ mechanism: 'EXTERNAL' }) });
    // @ts-expect-error there is no such option
    void Broker.connect('amqp://a', { heartbeat: 5 });
    // @ts-expect-error there is no such option
    void Broker.connect('amqp://a', { reconnect: { retries: 5 } });
    // @ts-expect-error a URL is a string
    void Broker.connect(5672);
  });

  it('can be disposed of', () => {
    expectTypeOf<Broker>().toExtend<AsyncDisposable>();
    expectTypeOf(broker.producer(contract)).toExtend<AsyncDisposable>();
    expectTypeOf(broker.consumer(contract)).toExtend<AsyncDisposable>();
    expectTypeOf(broker.close({ timeoutMs: 5 })).resolves.toEqualTypeOf<{ readonly clean: boolean }>();
  });

  it('answers with typed results', () => {
    expectTypeOf(broker.stats(contract)).resolves.toEqualTypeOf<{
      readonly messages: number;
      readonly consumers: number;
    }>();
    expectTypeOf(broker.purge('q')).resolves.toEqualTypeOf<number>();
    expectTypeOf(broker.health().status).toEqualTypeOf<'up' | 'degraded' | 'down'>();
  });
});

describe('dead letters', () => {
  const jobs = queue('jobs', z.object({ n: z.string().transform(Number) }));
  const letters = broker.deadLetters(jobs);

  it('have the body that the schema takes', () => {
    expectTypeOf(letters.list()).resolves.toEqualTypeOf<DeadLetterEntry<{ n: string }>[]>();
    expectTypeOf(letters.list({ limit: 5 }))
      .resolves.items.toHaveProperty('error')
      .toEqualTypeOf<{
        readonly code: string;
        readonly message: string;
      }>();
    expectTypeOf<DeadLetterEntry['issues']>().toEqualTypeOf<readonly Issue[] | undefined>();
    expectTypeOf<DeadLetterEntry['failedAt']>().toEqualTypeOf<Date | undefined>();
    expectTypeOf(letters.purge()).resolves.toEqualTypeOf<number>();
  });

  it('are chosen by what they say', () => {
    const replayed = letters.replay({
      limit: 5,
      ratePerSecond: 0.5,
      signal: AbortSignal.timeout(5),
      onProgress: ({ done, total }) => expectTypeOf(done).toEqualTypeOf(total),
      filter: ({ body, error, issues }) => {
        expectTypeOf(body).toEqualTypeOf<{ n: string }>();
        return error.code === 'INVALID_BODY' && issues !== undefined;
      },
    });
    expectTypeOf(replayed).resolves.toEqualTypeOf<ReplayResult>();
    void letters.replay({ filter: async ({ id }) => id !== undefined });
    // @ts-expect-error a filter says yes or no
    void letters.replay({ filter: ({ id }) => id });
    // @ts-expect-error only a queue has dead letters
    broker.deadLetters('jobs');
  });
});

describe('the verdicts that are thrown', () => {
  it('take a reason or a delay', () => {
    expectTypeOf(new DeadLetter()).toExtend<Error>();
    new DeadLetter('why', { cause: new Error('because') });
    expectTypeOf(new RetryLater({ delayMs: 5 }).delayMs).toEqualTypeOf<number | undefined>();
    // @ts-expect-error the delay is called delayMs
    new RetryLater({ delay: 5 });
  });
});
