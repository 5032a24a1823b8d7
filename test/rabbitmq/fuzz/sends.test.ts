import fc from 'fast-check';
import { Broker, exchange, isLeveretError, type Message, queue, type Schema } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

/** How long to look for a send that costs more than itself. More finds more. */
const seconds = Number(process.env.LEVERET_FUZZ_SECONDS ?? 8);

const anyBody = z.any() as unknown as Schema<unknown>;
const things = queue('things', anyBody, { type: 'classic', deadLetter: false });
const events = exchange('events', anyBody, { type: 'topic' });
const everything = events.queue('everything', '#', { type: 'classic', deadLetter: false });

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ minLength: 200, maxLength: 300 }),
  fc.constantFrom('', '\0', '#', '*', 'a.b.c', '__proto__', '\ud800', 'ü'.repeat(127), 'ü'.repeat(128)),
);

const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeInteger(),
  fc.constantFrom(
    Infinity,
    -Infinity,
    Number.NaN,
    2 ** 53,
    2 ** 63,
    -(2 ** 63),
    -(2 ** 64),
    2 ** 51 + 0.5,
    -0,
  ),
);

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    number,
    fc.constantFrom<unknown>(null, true, false, undefined, 1n, Symbol.iterator),
    fc.uint8Array({ maxLength: 20 }),
    fc.date({ noInvalidDate: false }),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.oneof(text, fc.constantFrom('!', 'value')), tie('value'), { maxKeys: 3 }),
  ),
}));

const headers = fc.dictionary(
  fc.oneof(
    text,
    fc.constantFrom('CC', 'BCC', 'x-death', 'x-match', 'x-delay', 'leveret-attempt', 'leveret-error'),
  ),
  value,
  { maxKeys: 4 },
);

const options = fc.record(
  {
    headers,
    messageId: text,
    correlationId: text,
    priority: fc.oneof(fc.integer({ min: -1, max: 256 }), number),
    // So long that nothing expires, or wrong.
    ttlMs: fc.oneof(fc.integer({ min: 600_000, max: 2 ** 32 + 1 }), fc.constantFrom(-1, 0.5, Infinity)),
    mandatory: fc.boolean(),
    userId: fc.constantFrom('admin', undefined),
  },
  { requiredKeys: [] },
);

const bodies = fc.oneof(fc.jsonValue(), value, fc.string({ minLength: 900, maxLength: 1_100 }));

/** What a program without a type checker may pass. */
interface LooseProducer {
  send(body: unknown, options?: object): Promise<{ readonly messageId: string }>;
}

describe('a send, whatever it holds', () => {
  it('is refused here or arrives as it was, and costs no connection and no other send anything', {
    timeout: seconds * 1_000 + 120_000,
  }, async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { maxBodyBytes: 1_000 });
    const got = new Map<string, Message>();
    const keep = (message: Message) => void got.set(message.id ?? '', message);
    await broker.consumer(things, keep).ready;
    await broker.consumer(everything, keep).ready;
    const toQueue = broker.producer(things) as unknown as LooseProducer;
    const toExchange = broker.producer(events) as unknown as LooseProducer;
    let arrived = 0;
    let refused = 0;

    const property = fc.asyncProperty(
      fc.array(fc.tuple(bodies, options, fc.option(text, { nil: undefined })), {
        minLength: 1,
        maxLength: 5,
      }),
      async (sends) => {
        got.clear();
        const beside = await Promise.all(
          sends.map(async ([body, given, routingKey]) => {
            const sending =
              routingKey === undefined
                ? toQueue.send(body, given)
                : toExchange.send(body, { ...given, routingKey });
            const neighbour = toQueue.send('beside it');
            try {
              const { messageId } = await sending;
              arrived++;
              await expect.poll(() => got.has(messageId), { timeout: 8_000, interval: 2 }).toBe(true);
              const message = got.get(messageId) as Message;
              if (
                routingKey !== undefined &&
                !('CC' in (given.headers ?? {})) &&
                !('BCC' in (given.headers ?? {}))
              )
                expect(message.routingKey).toBe(routingKey);
              // An id may come twice in one round.
              if (given.messageId === undefined) {
                expect(message.correlationId).toBe(given.correlationId || undefined);
                expect(message.body).toEqual(JSON.parse(JSON.stringify(body)));
              }
            } catch (error) {
              if (!isLeveretError(error)) throw error;
              refused++;
              expect(['INVALID_OPTION', 'INVALID_BODY', 'MESSAGE_TOO_LARGE']).toContain(error.code);
            }
            return (await neighbour).messageId;
          }),
        );
        await expect
          .poll(() => beside.every((id) => got.has(id)), { timeout: 8_000, interval: 2 })
          .toBe(true);
      },
    );
    await fc.assert(property, {
      numRuns: 100_000,
      interruptAfterTimeLimit: seconds * 1_000,
      markInterruptAsFailure: false,
    });

    expect(proxy.accepted).toBe(2);
    expect(arrived).toBeGreaterThan(20);
    expect(refused).toBeGreaterThan(20);
  });
});
