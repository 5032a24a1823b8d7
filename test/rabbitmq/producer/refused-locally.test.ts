import {
  Broker,
  ConfigurationError,
  exchange,
  isLeveretError,
  MessageTooLargeError,
  queue,
  ValidationError,
} from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const orders = queue(
  'orders',
  z.object({ id: z.string(), lines: z.array(z.object({ amount: z.number() })) }),
);
const good = { id: 'a', lines: [] };
const topic = exchange('events', z.string(), { type: 'topic' });

/** A broker that has sent nothing, and is to stay so. */
async function untouched() {
  const vhost = await createVhost();
  const proxy = await TcpProxy.listen(vhost.url);
  const broker = new Broker(proxy.via(vhost.url), { maxBodyBytes: 1_000 });
  return {
    broker,
    async expectNothingSent() {
      expect(proxy.accepted).toBe(0);
      expect(broker.state).toEqual({ status: 'idle' });
    },
    async [Symbol.asyncDispose]() {
      await broker.close();
      await proxy.close();
      await vhost[Symbol.asyncDispose]();
    },
  };
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('It was sent.'),
    (error: unknown) => error,
  );

describe('a send that is refused before anything is sent', () => {
  it('names what does not fit the schema, and where', async () => {
    await using it = await untouched();
    const producer = it.broker.producer(orders);
    const wrong = { id: 7, lines: [{ amount: 1 }, { amount: 'x' }] } as never;
    const error = await failure(producer.send(wrong));
    expect(error).toBeInstanceOf(ValidationError);
    expect(error).toMatchObject({
      code: 'INVALID_BODY',
      retryable: false,
      issues: [
        { path: ['id'], message: expect.any(String) },
        { path: ['lines', 1, 'amount'], message: expect.any(String) },
      ],
      message: expect.stringMatching(/queue 'orders'.*id: .*lines\.1\.amount/),
    });
    expect(producer.pending).toBe(0);
    await it.expectNothingSent();
  });

  it.each([
    ['a function', () => undefined],
    ['a bigint', { n: 1n }],
    ['a circle', circle()],
    ['nothing', undefined],
    ['a key that reaches prototypes', JSON.parse('{"__proto__": {"admin": true}}')],
  ])('cannot carry %s as JSON', async (_what, body: unknown) => {
    await using it = await untouched();
    const anything = queue('anything', z.unknown() as z.ZodType<unknown, unknown>);
    expect(await failure(it.broker.producer(anything).send(body))).toBeInstanceOf(ValidationError);
    await it.expectNothingSent();
  });

  it('says how large the body is, and how large it may be', async () => {
    await using it = await untouched();
    const error = await failure(it.broker.producer(orders).send({ id: 'x'.repeat(1_000), lines: [] }));
    expect(error).toBeInstanceOf(MessageTooLargeError);
    expect(error).toMatchObject({ code: 'MESSAGE_TOO_LARGE', limitBytes: 1_000, retryable: false });
    expect((error as MessageTooLargeError).sizeBytes).toBeGreaterThan(1_000);
    await it.expectNothingSent();
  });

  it('says that the headers do not fit a frame', async () => {
    await using it = await untouched();
    const headers = { large: 'x'.repeat(70_000) };
    expect(await failure(it.broker.producer(orders).send(good, { headers }))).toBeInstanceOf(
      MessageTooLargeError,
    );
    await it.expectNothingSent();
  });

  it.each([
    [{ headers: { ratio: Number.POSITIVE_INFINITY } }, "'ratio' must be a finite number"],
    [{ headers: { deep: { f: () => undefined } } }, "'deep.f' must be a string, number"],
    [{ headers: { when: new Date() } }, "'when' must be a string, number"],
    [{ headers: { 'x-death': [] } }, "'x-death' must be left out"],
    [{ messageId: 'x'.repeat(300) }, "option 'messageId' must be"],
    [{ messageId: '' }, "option 'messageId' must be"],
    [{ correlationId: 'ü'.repeat(200) }, "option 'correlationId' must be"],
    [{ priority: 256 }, "option 'priority' must be"],
    [{ ttlMs: -1 }, "option 'ttlMs' must be"],
    [{ timeoutMs: 0 }, "option 'timeoutMs' must be"],
    [{ signal: {} }, "option 'signal' must be"],
    [{ userId: 'forged' }, "unknown option 'userId'"],
    [{ expiration: '5' }, "unknown option 'expiration'"],
    [{ routingKey: 'elsewhere' }, "takes no 'routingKey'"],
  ])('names the wrong option: %j', async (options, complaint) => {
    await using it = await untouched();
    const error = await failure(it.broker.producer(orders).send(good, options as never));
    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringContaining(complaint) });
    await it.expectNothingSent();
  });

  it('asks for a routing key where the exchange needs one', async () => {
    await using it = await untouched();
    // @ts-expect-error A topic exchange needs a routing key.
    expect(await failure(it.broker.producer(topic).send('hello'))).toMatchObject({ option: 'routingKey' });
    const fanout = it.broker.producer(exchange('news', z.string(), { type: 'fanout' }));
    // @ts-expect-error A fanout exchange takes none.
    expect(await failure(fanout.send('hello', { routingKey: 'k' }))).toMatchObject({ option: 'routingKey' });
    await it.expectNothingSent();
  });

  it('rejects its promise and never throws', async () => {
    await using it = await untouched();
    const sent = it.broker.producer(orders).send(undefined as never, 7 as never);
    expect(sent).toBeInstanceOf(Promise);
    expect(isLeveretError(await failure(sent))).toBe(true);
  });
});

describe('a producer', () => {
  it('is not made for what is no contract, or with wrong options', async () => {
    await using broker = new Broker();
    expect(() => broker.producer('orders' as never)).toThrow(ConfigurationError);
    expect(() => broker.producer(orders, { maxInFlight: 0 })).toThrow(/maxInFlight/);
    expect(() => broker.producer(orders, { window: 5 } as never)).toThrow(/window/);
  });
});

function circle(): unknown {
  const body: Record<string, unknown> = {};
  body.self = body;
  return body;
}
