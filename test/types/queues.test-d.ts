import {
  type ClassicQueueOptions,
  exchange,
  type QueueContract,
  type QueueOptions,
  type QuorumQueueOptions,
  queue,
} from 'leveret';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

const schema = z.object({ id: z.string() });

describe('the options of a queue', () => {
  it('are accepted where RabbitMQ accepts them', () => {
    const plain = queue('q', schema);
    expectTypeOf(plain).toEqualTypeOf<QueueContract<typeof schema>>();
    queue('q', schema, {});
    queue('q', schema, { type: 'classic', durable: false, retry: false, deadLetter: false });
    queue('q', schema, { type: 'classic', exclusive: true, autoDelete: true, maxPriority: 5 });
    queue('q', schema, { type: 'classic', overflow: 'reject-publish-dlx' });
    queue('q', schema, { deliveryLimit: 5, overflow: 'drop-head', singleActiveConsumer: true });
    queue('q', schema, { type: 'quorum', durable: true, exclusive: false, messageTtlMs: 5, expiresMs: 5 });
    queue('q', schema, { type: 'stream', maxLengthBytes: 1_000, deadLetter: false });
    queue('q', schema, { declare: 'passive', arguments: { 'x-custom': true } });
    queue('q', schema, {
      deadLetter: 'lost',
      retry: { attempts: 2, retryIf: (_, { attempt }) => attempt < 2 },
    });
    queue('q', schema, {
      bindings: [
        { exchange: 'by-name', routingKey: 'k' },
        { exchange: exchange('e', schema, { type: 'headers' }), arguments: { region: 'eu' } },
      ],
    });
  });

  it('may be kept in a variable of their type', () => {
    const any: QueueOptions = { retry: { attempts: 2 } };
    const quorum: QuorumQueueOptions = { deliveryLimit: 3 };
    const classic: ClassicQueueOptions = { type: 'classic', maxPriority: 3 };
    queue('q', schema, any);
    queue('q', schema, quorum);
    queue('q', schema, classic);
    const options = { type: 'classic', durable: false } as const;
    queue('q', schema, options);
  });

  it("give `retryIf` the handler's message", () => {
    const counted = z.object({ n: z.string().transform(Number) });
    queue('q', counted, {
      retry: {
        retryIf: (error, { body, id, attempt }) => {
          expectTypeOf(error).toBeUnknown();
          expectTypeOf(body).toEqualTypeOf<{ n: number }>();
          expectTypeOf(id).toEqualTypeOf<string | undefined>();
          return body.n > 0 && attempt < 3;
        },
      },
    });
    const kept: QueueOptions = { retry: { retryIf: (_, { attempt }) => attempt < 3 } };
    queue('q', counted, kept);
    // @ts-expect-error there is no such field
    queue('q', counted, { retry: { retryIf: (_, { body }) => body.missing === 1 } });
  });

  it('of a quorum queue exclude what it cannot be', () => {
    // @ts-expect-error never exclusive
    queue('q', schema, { exclusive: true });
    // @ts-expect-error never deleted by itself
    queue('q', schema, { autoDelete: true });
    // @ts-expect-error always durable
    queue('q', schema, { durable: false });
    // @ts-expect-error priorities are a thing of classic queues
    queue('q', schema, { maxPriority: 5 });
    // @ts-expect-error also when its type is said
    queue('q', schema, { type: 'quorum', exclusive: true });
    // @ts-expect-error also when its type is said
    queue('q', schema, { type: 'quorum', autoDelete: true });
    // @ts-expect-error also when its type is said
    queue('q', schema, { type: 'quorum', maxPriority: 5 });
    // @ts-expect-error it would be ignored
    queue('q', schema, { type: 'quorum', overflow: 'reject-publish-dlx' });
  });

  it('of a classic queue exclude a delivery limit', () => {
    // @ts-expect-error classic queues count nothing
    queue('q', schema, { type: 'classic', deliveryLimit: 5 });
  });

  it('of a stream exclude what a log has not', () => {
    // @ts-expect-error no priorities
    queue('q', schema, { type: 'stream', maxPriority: 5 });
    // @ts-expect-error no delivery limit
    queue('q', schema, { type: 'stream', deliveryLimit: 5 });
    // @ts-expect-error never exclusive
    queue('q', schema, { type: 'stream', exclusive: true });
    // @ts-expect-error never deleted by itself
    queue('q', schema, { type: 'stream', autoDelete: true });
    // @ts-expect-error always durable
    queue('q', schema, { type: 'stream', durable: false });
    // @ts-expect-error limited by bytes only
    queue('q', schema, { type: 'stream', maxLength: 5 });
    // @ts-expect-error its messages do not expire one by one
    queue('q', schema, { type: 'stream', messageTtlMs: 5 });
    // @ts-expect-error it deletes its oldest messages, always
    queue('q', schema, { type: 'stream', overflow: 'drop-head' });
    // @ts-expect-error everybody reads for himself
    queue('q', schema, { type: 'stream', singleActiveConsumer: true });
  });

  it('have names and values that are known', () => {
    // @ts-expect-error it is called messageTtlMs
    queue('q', schema, { messageTtl: 5 });
    // @ts-expect-error an option of a consumer
    queue('q', schema, { prefetch: 5 });
    // @ts-expect-error there is no such type
    queue('q', schema, { type: 'mirrored' });
    // @ts-expect-error retry has no such option
    queue('q', schema, { retry: { retries: 5 } });
    // @ts-expect-error `true` says nothing
    queue('q', schema, { retry: true });
    // @ts-expect-error a number of milliseconds
    queue('q', schema, { messageTtlMs: '5s' });
    // @ts-expect-error an exchange is needed
    queue('q', schema, { bindings: [{ routingKey: 'k' }] });
    // @ts-expect-error a name is a string
    queue(5, schema);
  });
});

describe('a contract', () => {
  it('is read-only', () => {
    const contract = queue('q', schema);
    // @ts-expect-error a contract does not change
    contract.name = 'other';
    // @ts-expect-error nor do its arguments
    contract.arguments['x-custom'] = 1;
    // @ts-expect-error nor do its bindings
    contract.bindings.push({ exchange: 'e' });
  });
});
