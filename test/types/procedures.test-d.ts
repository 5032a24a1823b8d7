import { type Broker, type Message, type ProcedureContract, procedure, type Responder } from 'leveret';
import type { TestBroker } from 'leveret/testing';
import { describe, expectTypeOf, it } from 'vitest';
import { z } from 'zod';

declare const broker: Broker;
declare const testBroker: TestBroker;

const request = z.object({ sku: z.string(), count: z.coerce.number().default(1) });
const response = z.object({ price: z.number(), at: z.iso.datetime().transform((text) => new Date(text)) });
const quote = procedure('quote', { request, response });

describe('a procedure', () => {
  it('keeps both schemas, without a type argument', () => {
    expectTypeOf(quote).toEqualTypeOf<ProcedureContract<typeof request, typeof response>>();
  });

  it('takes the options of a queue, as far as they make sense', () => {
    procedure('p', { request, response, type: 'classic', durable: false, autoDelete: true, maxPriority: 5 });
    procedure('p', { request, response, type: 'quorum', deliveryLimit: 5, maxLength: 100 });
    procedure('p', { request, response, declare: 'passive', arguments: { 'x-custom': true } });
    procedure('p', { request: z.string(), response: z.string(), codec: 'text' });
    // @ts-expect-error a failed request is answered
    procedure('p', { request, response, retry: { attempts: 2 } });
    // @ts-expect-error a failed request is answered
    procedure('p', { request, response, deadLetter: true });
    // @ts-expect-error requests are sent by name
    procedure('p', { request, response, bindings: [] });
    // @ts-expect-error not a queue of requests
    procedure('p', { request, response, type: 'stream' });
    // @ts-expect-error a thing of quorum queues
    procedure('p', { request, response, deliveryLimit: 5 });
    // @ts-expect-error always durable
    procedure('p', { request, response, type: 'quorum', durable: false });
  });

  it('needs two schemas that can travel', () => {
    // @ts-expect-error no response
    procedure('p', { request });
    // @ts-expect-error no request
    procedure('p', { response });
    // @ts-expect-error a Date is not JSON
    procedure('p', { request: z.object({ at: z.date() }), response });
    // @ts-expect-error a Date is not JSON
    procedure('p', { request, response: z.object({ at: z.date() }) });
    // @ts-expect-error nothing is not JSON: use z.null()
    procedure('p', { request, response: z.void() });
    // @ts-expect-error text is a string
    procedure('p', { request, response: z.string(), codec: 'text' });
  });
});

describe('a request', () => {
  it('takes what the request schema takes, and resolves with what the response schema makes', () => {
    expectTypeOf(broker.request(quote, { sku: 'A1' })).resolves.toEqualTypeOf<{ price: number; at: Date }>();
    void broker.request(quote, { sku: 'A1', count: '5' }, { timeoutMs: 5, signal: AbortSignal.timeout(5) });
    // @ts-expect-error no sku
    void broker.request(quote, {});
    // @ts-expect-error not a string
    void broker.request(quote, { sku: 1 });
    // @ts-expect-error there is no such option
    void broker.request(quote, { sku: 'A1' }, { timeout: 5 });
    // @ts-expect-error a queue is not a procedure
    void broker.request(quote.queue, { sku: 'A1' });
  });
});

describe('a responder', () => {
  it('gets what the request schema makes, and answers what the response schema takes', () => {
    const responder = broker.responder(quote, async (message) => {
      expectTypeOf(message).toEqualTypeOf<Message<{ sku: string; count: number }>>();
      return { price: message.body.count, at: '2030-01-01T00:00:00Z' };
    });
    expectTypeOf(responder).toEqualTypeOf<Responder>();
    expectTypeOf(responder.ready).toEqualTypeOf<Promise<void>>();
    expectTypeOf<Responder>().toExtend<AsyncDisposable>();
    broker.responder(quote, () => ({ price: 1, at: '' }), { concurrency: 5, prefetch: 5 });
    // @ts-expect-error no answer
    broker.responder(quote, () => undefined);
    // @ts-expect-error a Date does not travel
    broker.responder(quote, async () => ({ price: 1, at: new Date() }));
    // @ts-expect-error a request is always acknowledged
    broker.responder(quote, () => ({ price: 1, at: '' }), { noAck: true });
    // @ts-expect-error it has no loops
    void responder[Symbol.asyncIterator];
  });
});

describe('what looks after queues', () => {
  it('takes procedures', () => {
    void broker.declare(quote);
    void broker.stats(quote);
    void broker.purge(quote);
    void broker.delete(quote);
    expectTypeOf(testBroker.sent(quote)[0]?.body.sku).toEqualTypeOf<string | undefined>();
    expectTypeOf(testBroker.handled(quote)[0]?.body.count).toEqualTypeOf<number | undefined>();
  });
});
