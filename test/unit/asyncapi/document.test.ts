import { Parser } from '@asyncapi/parser';
import { toJsonSchema } from '@valibot/to-json-schema';
import { exchange, queue } from 'leveret';
import { type AsyncApiDocument, type AsyncApiOptions, asyncapi } from 'leveret/asyncapi';
import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import * as contracts from './contracts.js';

const OPTIONS: AsyncApiOptions = { title: 'Shop', version: '1.4.0' };

/** What the official parser complains of: errors and warnings, not informations. */
async function complaints(document: AsyncApiDocument): Promise<readonly string[]> {
  const { diagnostics } = await new Parser().parse(JSON.stringify(document));
  return diagnostics
    .filter(({ severity }) => severity <= 1)
    .map(({ code, message, path }) => `${String(code)} at ${path.join('/')}: ${message}`);
}

const payloadOf = (schema: z.ZodType): unknown =>
  asyncapi([queue('q', schema as z.ZodType<unknown, unknown>)], OPTIONS).channels.q?.messages.q?.payload;

describe('asyncapi()', () => {
  it('makes a document in which the official parser finds no error and no warning', async () => {
    const document = asyncapi(contracts.everything, {
      ...OPTIONS,
      description: 'All kinds of contract.',
      servers: { production: 'amqps://user:s%65cret@rabbit.example:5671/shop?heartbeat=5', test: 'memory:' },
      toJsonSchema,
    });
    expect(await complaints(document)).toEqual([]);
  });

  it('is looked at by a parser that complains', async () => {
    const broken = { ...asyncapi([contracts.emails], OPTIONS), channels: { emails: { address: 5 } } };
    expect(await complaints(broken as never)).not.toEqual([]);
  });

  it('has one channel for each contract, in the order given', () => {
    const { channels } = asyncapi(contracts.everything, OPTIONS);
    expect(Object.keys(channels)).toEqual([
      ...['emails', 'orders', 'billing', 'orders_2', 'news', 'by_header__', 'prices', 'old', 'pictures'],
      ...['quote', 'categories', 'named'],
    ]);
    expect(Object.values(channels).map(({ address }) => address)).toEqual([
      ...['emails', '{routingKey}', 'billing', null, null, null, 'prices', 'old', 'pictures'],
      ...['quote', 'categories', 'named'],
    ]);
  });

  it('describes a queue, its messages and how Leveret treats them', () => {
    const { channels, operations } = asyncapi([contracts.emails], OPTIONS);
    expect(channels.emails).toEqual({
      address: 'emails',
      description: expect.any(String),
      messages: {
        emails: {
          name: 'emails',
          contentType: 'application/json',
          payload: expect.objectContaining({ type: 'object', required: ['to'] }),
        },
      },
      bindings: {
        amqp: {
          is: 'queue',
          queue: { name: 'emails', durable: true, exclusive: false, autoDelete: false },
          bindingVersion: '0.3.0',
        },
      },
      'x-leveret': {
        type: 'quorum',
        retry: { attempts: 3, initialDelayMs: 1_000, factor: 2, maxDelayMs: 60_000, jitter: true },
        deadLetter: 'emails.dead',
        deliveryLimit: 20,
        messageTtlMs: 60_000,
        overflow: 'reject-publish',
        bindings: [],
        delay: { minMs: 100, maxMs: 5_184_000_000 },
      },
    });
    const message = { $ref: '#/channels/emails/messages/emails' };
    expect(operations).toEqual({
      'send.emails': {
        action: 'send',
        channel: { $ref: '#/channels/emails' },
        summary: expect.any(String),
        messages: [message],
        bindings: { amqp: { deliveryMode: 2, timestamp: true, bindingVersion: '0.3.0' } },
      },
      'receive.emails': {
        action: 'receive',
        channel: { $ref: '#/channels/emails' },
        summary: expect.any(String),
        messages: [message],
        bindings: { amqp: { ack: true, bindingVersion: '0.3.0' } },
      },
    });
  });

  it('describes an exchange, a queue of it, and a subscription to it', () => {
    const { orders, billing, watch } = contracts;
    const { channels, operations } = asyncapi([orders, billing, watch], OPTIONS);
    const binding = {
      amqp: {
        is: 'routingKey',
        exchange: { name: 'orders', type: 'topic', durable: true, autoDelete: false },
        bindingVersion: '0.3.0',
      },
    };
    expect(channels.orders).toMatchObject({ parameters: { routingKey: {} }, bindings: binding });
    expect(channels.orders).not.toHaveProperty('x-leveret');
    expect(channels.billing?.['x-leveret']?.bindings).toEqual([
      { exchange: 'orders', routingKey: 'eu.*' },
      { exchange: 'orders', routingKey: 'us.*' },
    ]);
    expect(channels.orders_2).toMatchObject({
      bindings: binding,
      'x-leveret': {
        type: 'classic',
        deadLetter: false,
        bindings: [{ exchange: 'orders', routingKey: 'eu.#' }],
      },
    });
    expect(Object.keys(operations)).toEqual([
      'send.orders',
      'send.billing',
      'receive.billing',
      'receive.orders_2',
    ]);
  });

  it('describes both sides of a procedure', () => {
    const { channels, operations } = asyncapi([contracts.quote], OPTIONS);
    expect(channels.quote).toMatchObject({
      address: 'quote',
      messages: {
        request: { payload: { properties: { sku: { type: 'string' } } } },
        response: { payload: { properties: { price: { type: 'number' } } } },
      },
      'x-leveret': { type: 'classic', retry: false, deadLetter: false },
    });
    const reply = { messages: [{ $ref: '#/channels/quote/messages/response' }] };
    const messages = [{ $ref: '#/channels/quote/messages/request' }];
    expect(operations).toMatchObject({
      'request.quote': { action: 'send', messages, reply },
      'respond.quote': { action: 'receive', messages, reply },
    });
  });

  it('says of a stream that it has no delay, no retry and no dead letters', () => {
    const extension = asyncapi([contracts.prices], OPTIONS).channels.prices?.['x-leveret'];
    expect(extension).toEqual({ type: 'stream', retry: false, deadLetter: false, bindings: [] });
  });

  it('gives the same bytes for the same input', () => {
    const schema = z.object({
      id: z.string().default(() => crypto.randomUUID()),
      at: z.number().default(() => Date.now()),
      size: z.number().default(3),
    });
    const make = () =>
      JSON.stringify(
        asyncapi([...contracts.everything, queue('drawn', schema)], { ...OPTIONS, toJsonSchema }),
      );
    const first = make();
    expect(make()).toBe(first);
    expect(JSON.parse(first).channels.drawn.messages.drawn.payload.properties).toEqual({
      id: { type: 'string' },
      at: { type: 'number' },
      size: { type: 'number', default: 3 },
    });
  });

  it('converts the input of zod and arktype schemas, and of others by the converter given', () => {
    const { news, prices, old } = contracts;
    const without = asyncapi([news, prices, old], OPTIONS).channels;
    expect(without.news?.messages.news?.payload).toMatchObject({ type: 'object', required: ['text'] });
    for (const name of ['prices', 'old']) {
      const [message] = Object.values(without[name]?.messages ?? {});
      expect(message).toEqual({
        name,
        contentType: 'application/json',
        payload: {},
        'x-leveret-schema': 'unknown',
      });
    }
    const { channels } = asyncapi([prices], { ...OPTIONS, toJsonSchema });
    expect(channels.prices?.messages.prices).toEqual({
      name: 'prices',
      contentType: 'application/json',
      payload: { type: 'object', properties: { sku: { type: 'string' } }, required: ['sku'] },
    });
  });

  it('takes what the wire carries: the input of transforms, text, and bytes', () => {
    expect(payloadOf(z.string().transform((text) => text.length))).toEqual({ type: 'string' });
    const { channels } = asyncapi([contracts.byHeader, contracts.pictures], OPTIONS);
    expect(channels.by_header__?.messages.by_header__).toMatchObject({
      contentType: 'text/plain',
      payload: { type: 'string' },
    });
    expect(channels.pictures?.messages.pictures).toMatchObject({
      contentType: 'application/octet-stream',
      payload: { type: 'string', format: 'binary' },
    });
  });

  it('leaves open the one part of a schema that JSON Schema cannot express', () => {
    const { channels } = asyncapi([queue('dates', z.custom<string>())], OPTIONS);
    expect(channels.dates?.messages.dates).toMatchObject({ payload: {}, 'x-leveret-schema': 'unknown' });
    expect(payloadOf(z.object({ at: z.coerce.date(), any: z.any(), text: z.string() }))).toMatchObject({
      properties: { at: { 'x-leveret-schema': 'unknown' }, any: {}, text: { type: 'string' } },
    });
  });

  it('keeps references of a schema within the schema', () => {
    const { categories, named } = contracts;
    const { channels } = asyncapi([categories, named], OPTIONS);
    expect(channels.categories?.messages.categories?.payload).toMatchObject({
      properties: { within: { items: { $ref: '#/channels/categories/messages/categories/payload' } } },
    });
    expect(channels.named?.messages.named?.payload).toEqual({
      type: 'object',
      properties: { id: { type: 'string' } },
      required: ['id'],
      title: 'Something with a name',
    });
  });

  it('drops user, password and query of the URLs of servers', () => {
    const { servers } = asyncapi([], {
      ...OPTIONS,
      servers: {
        production: 'amqps://user:s%65cret@rabbit.example/shop?password=other',
        other: 'amqp://[::1]:5672',
      },
    });
    expect(servers).toEqual({
      production: { host: 'rabbit.example', protocol: 'amqps', pathname: '/shop' },
      other: { host: '[::1]:5672', protocol: 'amqp' },
    });
    const wrong = { ...OPTIONS, servers: { production: 'amqp//user:secret@rabbit' } };
    expect(() => asyncapi([], wrong)).toThrow("the server 'production' has no valid URL");
  });

  it('describes a contract that is given twice once, and refuses two that differ', () => {
    const { emails, orders, watch } = contracts;
    const again = queue('emails', emails.schema, { retry: { attempts: 3 }, messageTtlMs: 60_000 });
    const others = [orders.subscription('eu.#'), orders.subscription('us.#')];
    const { channels } = asyncapi([emails, emails, again, watch, ...others], OPTIONS);
    expect(Object.keys(channels)).toEqual(['emails', 'orders', 'orders_2']);
    for (const other of [queue('emails', z.string()), queue('emails', emails.schema)]) {
      expect(() => asyncapi([emails, other], OPTIONS)).toThrow(
        "there are two different contracts of the queue 'emails'",
      );
    }
    const hidden = () => queue('hidden', v.string());
    expect(() => asyncapi([hidden(), hidden()], OPTIONS)).toThrow('two different contracts');
  });

  it('gives contracts of several kinds with one name keys of their own', () => {
    const schema = z.string();
    const all = [queue('a/b', schema), queue('a b', schema), exchange('a_b', schema), queue('a_b_2', schema)];
    expect(Object.keys(asyncapi(all, OPTIONS).channels)).toEqual(['a_b', 'a_b_2', 'a_b_3', 'a_b_2_2']);
    expect(Object.keys(asyncapi([queue('__proto__', schema)], OPTIONS).channels)).toEqual(['__proto___2']);
  });

  it.each([
    [[], {}, "option 'title' must be a non-empty string, got undefined"],
    [[], { title: 'a', version: '' }, "option 'version' must be a non-empty string, got ''"],
    [[], { ...OPTIONS, server: {} }, "unknown option 'server'. Did you mean 'servers'?"],
    [[], { ...OPTIONS, servers: { a: 5 } }, "option 'servers' must be an object of URLs by name"],
    [[], undefined, 'expected an options object'],
    [undefined, OPTIONS, 'expected an array of contracts, got undefined'],
    [[{}], OPTIONS, 'expected contracts made by queue(), exchange(), procedure() or exchange.subscription()'],
  ])('refuses %j with %j', (given, options, message) => {
    expect(() => asyncapi(given as never, options as never)).toThrow(message);
  });
});
