import fc from 'fast-check';
import { Broker, DeadLetter, type Message, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

/** How long to look for a message that is too much. More finds more. */
const seconds = Number(process.env.LEVERET_FUZZ_SECONDS ?? 8);

const notes = queue('notes', z.object({ text: z.string() }), {
  retry: { attempts: 2, initialDelayMs: 0 },
  deliveryLimit: 1_000,
});

const shortText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ minLength: 200, maxLength: 255 }),
  fc.constantFrom('', '\0', '__proto__', '\ud800', 'ü'.repeat(127)),
);

const headerName = fc.oneof(
  shortText,
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    'x-death',
    'x-delivery-count',
    'x-acquired-count',
    'x-first-death-queue',
    'leveret-attempt',
    'leveret-error',
    'leveret-failed-at',
    'leveret-issues',
    'leveret-headers-dropped',
  ),
);

/** What stands in a header, in any type that AMQP has. */
const { value: headerValue } = fc.letrec<{ value: unknown; table: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.string({ unit: 'binary' }),
    // amqplib cannot write every number: no fraction from 2⁵⁰ on, nor whole ones from 2⁶³ on.
    fc.double({ min: -1e14, max: 1e14, noNaN: true }),
    fc.integer(),
    fc.maxSafeInteger(),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    fc.nat().map((value) => ({ '!': 'timestamp', value })),
    fc.tuple(fc.nat(255), fc.nat()).map(([places, digits]) => ({
      '!': 'decimal',
      value: { places, digits },
    })),
    fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => ({ '!': 'float', value })),
    fc.integer({ min: -32_768, max: 32_767 }).map((value) => ({ '!': 'short', value })),
    fc.array(tie('value'), { maxLength: 3 }),
    tie('table'),
  ),
  table: fc.dictionary(headerName, tie('value') as fc.Arbitrary<unknown>, {
    maxKeys: 3,
    noNullPrototype: true,
  }),
}));

const content = fc.oneof(
  fc.string().map((text) => JSON.stringify({ text })),
  fc.json(),
  fc.string({ unit: 'binary' }),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom(
    '',
    '\ufeff{"text":"bom"}',
    '{"text":"a","__proto__":{"admin":true}}',
    '{"text":"a","constructor":{"prototype":{"admin":true}}}',
    `{"text":"${'x'.repeat(5_000)}"}`,
    `${'['.repeat(3_000)}${']'.repeat(3_000)}`,
  ),
);

const properties = fc.record(
  {
    contentType: fc.oneof(shortText, fc.constantFrom('application/json', 'text/plain', 'image/png')),
    contentEncoding: fc.oneof(shortText, fc.constantFrom('utf-8', 'gzip')),
    headers: fc.dictionary(headerName, headerValue, { maxKeys: 5, noNullPrototype: true }),
    deliveryMode: fc.constantFrom(1, 2),
    priority: fc.nat(255),
    correlationId: shortText,
    replyTo: shortText,
    expiration: fc.constant('600000'),
    messageId: shortText,
    timestamp: fc.oneof(fc.nat(), fc.constantFrom(2 ** 53, 2 ** 63, 8.64e12, 8.64e12 + 1)),
    type: shortText,
    appId: shortText,
  },
  { requiredKeys: [] },
);

/** How the handler ends: by the message, so that a redelivery ends the same way. */
const endings = fc.constantFrom('done', 'throw', 'give up', 'retry', 'verdict');

/** Reads everything that a handler can read. */
function readAll(message: Message<{ text: string }>): void {
  const { body, id, attempt, redelivered, headers, routingKey, exchange, correlationId, timestamp } = message;
  JSON.stringify({ body, id, attempt, redelivered, headers, routingKey, exchange, correlationId });
  timestamp?.toISOString();
  expect(attempt).toBeGreaterThan(0);
  expect(Object.getPrototypeOf(headers)).toBeNull();
}

describe('a message of another client, whatever it holds', () => {
  it('ends handled or dead-lettered, and the consumer goes on', {
    timeout: seconds * 1_000 + 120_000,
  }, async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { maxBodyBytes: 4_000 });
    const events = recordEvents(broker);
    let ending = 'done';
    let handled = 0;
    const failures: unknown[] = [];
    const consumer = broker.consumer(notes, (message) => {
      try {
        readAll(message);
      } catch (error) {
        failures.push(error);
      }
      if (ending === 'throw') throw new Error(message.body.text);
      if (ending === 'give up') throw new DeadLetter(message.body.text);
      if (ending === 'retry') message.retry({ delayMs: 0 });
      if (ending === 'verdict') message.deadLetter(message.body.text);
      if (ending === 'done') handled++;
    });
    await consumer.ready;

    const property = fc.asyncProperty(
      fc.array(fc.tuple(content, properties), { minLength: 1, maxLength: 4 }),
      endings,
      async (messages, how) => {
        ending = how;
        handled = 0;
        const before = (await other.channel.checkQueue('notes.dead')).messageCount;
        for (const [bytes, given] of messages) {
          other.channel.sendToQueue('notes', Buffer.from(bytes as string), given);
        }
        await other.channel.waitForConfirms();
        const settled = async () => {
          const dead = (await other.channel.checkQueue('notes.dead')).messageCount - before;
          return handled + dead;
        };
        await expect.poll(settled, { timeout: 8_000, interval: 10 }).toBe(messages.length);
        expect(failures.splice(0)).toEqual([]);
        expect(consumer.state.status).toBe('running');
      },
    );
    await fc.assert(property, {
      numRuns: 100_000,
      interruptAfterTimeLimit: seconds * 1_000,
      markInterruptAsFailure: false,
    });

    expect(events.of('disconnected')).toEqual([]);
    expect(proxy.accepted).toBe(2);
    expect(({} as { admin?: boolean }).admin).toBeUndefined();
    ending = 'done';
    handled = 0;
    await broker.producer(notes).send({ text: 'still here' });
    await expect.poll(() => handled).toBe(1);
  });

  it('is dead-lettered also when its texts are not UTF-8', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    await broker.consumer(notes, () => {
      throw new DeadLetter('no use');
    }).ready;
    await using other = await otherClient(proxy.via(vhost.url));
    // No client library writes such texts: what it wrote becomes them on its way.
    proxy.intercept((chunk, direction) => [
      direction === 'to-server' ? Buffer.from(chunk.map((byte) => (byte === 0x7e ? 0xff : byte))) : chunk,
    ]);
    const wrong = '~'.repeat(250);
    const cases = [
      { messageId: wrong },
      { correlationId: wrong },
      { contentType: wrong },
      { contentEncoding: wrong },
      { replyTo: wrong },
      { type: wrong },
      { appId: wrong },
      { headers: { [wrong]: wrong, nested: { [wrong]: [wrong] } } },
    ];
    for (const properties of cases) await other.put('notes', { text: 'a' }, properties);
    await expect.poll(() => events.of('dead-lettered').length, { timeout: 10_000 }).toBe(cases.length);
  });
});
