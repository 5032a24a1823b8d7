import {
  type Broker,
  type ExchangeContract,
  exchange,
  type QueueContract,
  queue,
  type SubscriptionContract,
} from 'leveret';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

declare const broker: Broker;

const schema = z.object({ id: z.string() });
const topic = exchange('topic', schema, { type: 'topic' });
const direct = exchange('direct', schema, { type: 'direct' });
const fanout = exchange('fanout', schema, { type: 'fanout' });
const headers = exchange('headers', schema, { type: 'headers' });

describe('an exchange', () => {
  it('knows its type and its schema', () => {
    expectTypeOf(exchange('e', schema)).toEqualTypeOf<ExchangeContract<typeof schema, 'topic'>>();
    expectTypeOf(exchange('e', schema, {})).toEqualTypeOf<ExchangeContract<typeof schema, 'topic'>>();
    expectTypeOf(direct.type).toEqualTypeOf<'direct'>();
    expectTypeOf(fanout.type).toEqualTypeOf<'fanout'>();
    expectTypeOf(headers.schema).toEqualTypeOf<typeof schema>();
    expectTypeOf(headers).toExtend<ExchangeContract>();
  });

  it('takes no unknown option and no unknown type', () => {
    // @ts-expect-error there is no such type
    exchange('e', schema, { type: 'x-delayed-message' });
    // @ts-expect-error there is no such option
    exchange('e', schema, { type: 'topic', persistent: true });
    // @ts-expect-error a queue is no exchange
    exchange('e', schema, { alternateExchange: queue('q', schema) });
    exchange('e', schema, { alternateExchange: fanout, internal: true, declare: 'passive' });
    exchange('e', schema, { alternateExchange: 'other', autoDelete: true, durable: false });
  });
});

describe('a queue of an exchange', () => {
  it('needs a routing key for topic and direct', () => {
    expectTypeOf(topic.queue('q', 'eu.*')).toEqualTypeOf<QueueContract<typeof schema>>();
    topic.queue('q', ['eu.*', 'us.*'], { type: 'classic', maxPriority: 5 });
    direct.queue('q', 'key', { retry: false });
    // @ts-expect-error the routing key is missing
    topic.queue('q');
    // @ts-expect-error the routing key is missing
    direct.queue('q');
    // @ts-expect-error the options do not replace it
    topic.queue('q', { retry: false });
    // @ts-expect-error a pattern is a string
    topic.queue('q', /eu/);
  });

  it('takes no routing key for fanout', () => {
    fanout.queue('q');
    fanout.queue('q', { retry: { attempts: 2 } });
    // @ts-expect-error a fanout exchange looks at no routing key
    fanout.queue('q', 'eu.*');
  });

  it('takes what to match for headers', () => {
    headers.queue('q', { region: 'eu', 'x-match': 'all' });
    headers.queue('q', { region: 'eu' }, { deadLetter: false });
    // @ts-expect-error what to match is missing
    headers.queue('q');
    // @ts-expect-error a routing key matches nothing
    headers.queue('q', 'eu.*');
  });

  it('has the schema, the codec and the binding of its exchange', () => {
    // @ts-expect-error the codec is the exchange's
    topic.queue('q', 'k', { codec: 'text' });
    // @ts-expect-error so are the bindings
    topic.queue('q', 'k', { bindings: [] });
    // @ts-expect-error there is no such option
    topic.queue('q', 'k', { prefetch: 5 });
    // @ts-expect-error a quorum queue is never exclusive
    topic.queue('q', 'k', { exclusive: true });
    // @ts-expect-error a stream has no delivery limit
    fanout.queue('q', { type: 'stream', deliveryLimit: 3 });
  });
});

describe('a subscription', () => {
  it('asks for the same as a queue, without a name', () => {
    expectTypeOf(topic.subscription('eu.#')).toEqualTypeOf<SubscriptionContract<typeof schema>>();
    topic.subscription(['a', 'b'], { deadLetter: 'lost', retry: { attempts: 2 }, maxLength: 10 });
    direct.subscription('key');
    fanout.subscription();
    fanout.subscription({ messageTtlMs: 1_000, overflow: 'reject-publish', arguments: { 'x-custom': 1 } });
    headers.subscription({ region: 'eu' });
    // @ts-expect-error the routing key is missing
    topic.subscription();
    // @ts-expect-error a fanout exchange looks at no routing key
    fanout.subscription('eu.#');
    // @ts-expect-error what to match is missing
    headers.subscription();
  });

  it('takes no option that its private queue decides', () => {
    // @ts-expect-error it is always classic
    topic.subscription('k', { type: 'quorum' });
    // @ts-expect-error and always exclusive
    topic.subscription('k', { exclusive: false });
    // @ts-expect-error a dead-letter queue for each consumer would stay behind
    topic.subscription('k', { deadLetter: true });
  });

  it('can only be consumed', () => {
    broker.consumer(topic.subscription('k'), ({ body }) => body.id);
    // @ts-expect-error nothing is sent to it
    broker.producer(topic.subscription('k'));
    // @ts-expect-error it is declared with its consumer
    void broker.declare(topic.subscription('k'));
  });
});

describe('send to an exchange', () => {
  const body = { id: '1' };

  it('needs a routing key for topic and direct', () => {
    void broker.producer(topic).send(body, { routingKey: 'eu.1' });
    void broker.producer(direct).send(body, { routingKey: '', mandatory: true });
    // @ts-expect-error the routing key is missing
    void broker.producer(topic).send(body);
    // @ts-expect-error the routing key is missing
    void broker.producer(topic).send(body, {});
    // @ts-expect-error the routing key is missing
    void broker.producer(direct).send(body, { mandatory: true });
  });

  it('takes none for fanout, for headers and for a queue', () => {
    void broker.producer(fanout).send(body);
    void broker.producer(headers).send(body, { headers: { region: 'eu' } });
    void broker.producer(queue('q', schema)).send(body, { priority: 1 });
    // @ts-expect-error a fanout exchange looks at no routing key
    void broker.producer(fanout).send(body, { routingKey: 'eu' });
    // @ts-expect-error nor does a headers exchange
    void broker.producer(headers).send(body, { routingKey: 'eu' });
    // @ts-expect-error a queue is its own
    void broker.producer(queue('q', schema)).send(body, { routingKey: 'eu' });
  });
});

describe('sendAll', () => {
  const bodies = [{ id: '1' }, { id: '2' }];

  it("needs 'each' where send needs options", () => {
    void broker.producer(topic).sendAll(bodies, { each: { routingKey: 'eu' } });
    void broker.producer(topic).sendAll(bodies, {
      each: (body, index) => {
        expectTypeOf(body).toEqualTypeOf<{ id: string }>();
        expectTypeOf(index).toEqualTypeOf<number>();
        return { routingKey: body.id };
      },
    });
    // @ts-expect-error each message needs a routing key
    void broker.producer(topic).sendAll(bodies);
    // @ts-expect-error each message needs a routing key
    void broker.producer(topic).sendAll(bodies, {});
    // @ts-expect-error each message needs a routing key
    void broker.producer(direct).sendAll(bodies, { onProgress: () => undefined });
    // @ts-expect-error the function has to give one
    void broker.producer(direct).sendAll(bodies, { each: () => ({ priority: 1 }) });
  });

  it("needs no 'each' elsewhere", () => {
    void broker.producer(fanout).sendAll(bodies);
    void broker.producer(queue('q', schema)).sendAll(new Set(bodies), { each: { priority: 1 } });
    // @ts-expect-error a fanout exchange looks at no routing key
    void broker.producer(fanout).sendAll(bodies, { each: { routingKey: 'eu' } });
  });

  it('takes iterables of the input and reports bodies of it', async () => {
    const producer = broker.producer(queue('q', schema));
    async function* source() {
      yield { id: '1' };
    }
    const result = await producer.sendAll(source(), {
      onProgress: (progress) => expectTypeOf(progress.total).toEqualTypeOf<number | undefined>(),
    });
    expectTypeOf(result.sent).toEqualTypeOf<number>();
    for (const { index, body, error } of result.failed) {
      expectTypeOf(index).toEqualTypeOf<number>();
      expectTypeOf(body).toEqualTypeOf<{ id: string }>();
      expectTypeOf(error).toBeUnknown();
    }
    // @ts-expect-error these are not the bodies of this queue
    void producer.sendAll([{ name: 'x' }]);
    // @ts-expect-error one body is no iterable
    void producer.sendAll({ id: '1' });
  });
});

describe('the retry policy of a queue that has its schema from an exchange', () => {
  it("gives `retryIf` the handler's message", () => {
    const counted = z.object({ count: z.string().transform(Number) });
    const retry = {
      retryIf: (_: unknown, { body }: { readonly body: { count: number } }) => body.count === 1,
    };
    exchange('e', counted).queue('q', 'eu.*', {
      retry: {
        retryIf: (error, { body, attempt }) => {
          expectTypeOf(error).toBeUnknown();
          expectTypeOf(body).toEqualTypeOf<{ count: number }>();
          return attempt < 3;
        },
      },
    });
    exchange('e', counted, { type: 'fanout' }).queue('q', {
      type: 'classic',
      retry: { retryIf: (_, { body }) => body.count === 1 },
    });
    exchange('e', counted, { type: 'headers' }).queue('q', { format: 'pdf' }, { type: 'stream', retry });
    exchange('e', counted).subscription('eu.*', { retry: { retryIf: (_, { body }) => body.count === 1 } });
    // @ts-expect-error there is no such property
    exchange('e', counted).queue('q', 'eu.*', { retry: { retryIf: (_, { body }) => body.missing === 1 } });
    expectTypeOf(exchange('e', counted)).toExtend<ExchangeContract>();
  });
});
