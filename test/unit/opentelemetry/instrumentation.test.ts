import { context, propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { exchange, procedure, queue, RetryLater } from 'leveret';
import { LeveretInstrumentation, messageContext } from 'leveret/opentelemetry';
import { TestBroker } from 'leveret/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Telemetry } from './telemetry.js';

const body = z.object({ n: z.number() });
const jobs = queue('jobs', body, { retry: { attempts: 3, jitter: false } });
const orders = exchange('orders', body, { type: 'topic' });
const billing = orders.queue('billing', '#');
const double = procedure('double', { request: body, response: body });

let telemetry: Telemetry;
let broker: TestBroker;

beforeEach(async () => {
  telemetry = new Telemetry();
  broker = await TestBroker.start();
});

afterEach(async () => {
  await broker.close();
  await telemetry[Symbol.asyncDispose]();
});

describe('the spans', () => {
  it('of send, fail, retry and handle are one trace', async () => {
    let runs = 0;
    broker.consumer(jobs, () => {
      runs++;
      if (runs === 1) throw new TypeError('not yet');
      telemetry.tracer.startSpan('inside').end();
    });
    await telemetry.tracer.startActiveSpan('request of a user', async (span) => {
      await broker.producer(jobs).send({ n: 1 });
      span.end();
    });
    await broker.settled();
    await broker.advance('2s');
    await broker.settled();

    const [user, send] = [telemetry.only('request of a user'), telemetry.only('send jobs')];
    const [first, second] = telemetry.named('process jobs');
    const [retry, ack] = [telemetry.only('retry jobs'), telemetry.only('ack jobs')];
    expect(new Set(telemetry.spans.map(({ traceId }) => traceId)).size).toBe(1);
    expect(send).toMatchObject({ kind: 'PRODUCER', parentId: user.spanId, links: [] });
    expect(first).toMatchObject({
      kind: 'CONSUMER',
      parentId: send.spanId,
      links: [send.spanId],
      isError: true,
      attributes: { 'leveret.attempt': 1, 'error.type': 'TypeError' },
    });
    expect(second).toMatchObject({
      parentId: send.spanId,
      isError: false,
      attributes: { 'leveret.attempt': 2 },
    });
    expect(retry).toMatchObject({
      kind: 'CLIENT',
      parentId: first?.spanId,
      isError: false,
      attributes: { 'leveret.delay_ms': 1_000 },
    });
    expect(ack).toMatchObject({ kind: 'CLIENT', parentId: second?.spanId });
    expect(telemetry.only('inside').parentId).toBe(second?.spanId);
  });

  it('have the attributes of the conventions', async () => {
    broker.consumer(billing, () => {});
    await broker.consumer(orders.subscription('eu.#'), () => {}).ready;
    const { messageId } = await broker
      .producer(orders)
      .send({ n: 1 }, { routingKey: 'eu.x', correlationId: 'c' });
    await broker.settled();
    const common = {
      'messaging.system': 'rabbitmq',
      'messaging.destination.template': 'orders',
      'messaging.rabbitmq.destination.routing_key': 'eu.x',
      'messaging.message.id': messageId,
      'messaging.message.conversation_id': 'c',
      'server.address': 'memory',
    };
    expect(telemetry.only('send orders').attributes).toEqual({
      ...common,
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'orders:eu.x',
    });
    const consumed = {
      ...common,
      'messaging.destination.template': 'billing',
      'messaging.destination.name': 'orders:eu.x:billing',
      'messaging.rabbitmq.message.delivery_tag': 1,
      'leveret.attempt': 1,
    };
    expect(telemetry.only('process billing').attributes).toEqual({
      ...consumed,
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
    });
    expect(telemetry.only('ack billing').attributes).toEqual({
      ...consumed,
      'messaging.operation.name': 'ack',
      'messaging.operation.type': 'settle',
    });
    expect(telemetry.only('process orders').attributes).toMatchObject({
      'messaging.destination.temporary': true,
      'messaging.destination.anonymous': true,
      'messaging.destination.template': 'orders',
      'messaging.destination.name': expect.stringMatching(/^orders:eu\.x:orders\./),
    });
    await broker.producer(jobs).send({ n: 1 });
    expect(telemetry.only('send jobs').attributes).toEqual({
      'messaging.system': 'rabbitmq',
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
      'messaging.destination.name': 'jobs',
      'messaging.rabbitmq.destination.routing_key': 'jobs',
      'messaging.message.id': expect.any(String),
      'server.address': 'memory',
    });
  });

  it('of a batch are a trace of their own, with a link to each message', async () => {
    let inside: string | undefined;
    broker.batchConsumer(
      jobs,
      (messages) => {
        inside = trace.getActiveSpan()?.spanContext().spanId;
        expect(messages.map((it) => trace.getSpanContext(messageContext(it))?.spanId)).toEqual([
          inside,
          inside,
        ]);
      },
      { size: 2 },
    );
    await broker.producer(jobs).sendAll([{ n: 1 }, { n: 2 }]);
    await broker.settled();
    const sends = telemetry.named('send jobs');
    const batch = telemetry.only('process jobs');
    expect(batch).toMatchObject({
      parentId: undefined,
      spanId: inside,
      links: sends.map(({ spanId }) => spanId),
      attributes: { 'messaging.batch.message_count': 2, 'messaging.destination.name': 'jobs' },
    });
    expect(batch.span.links.map(({ attributes }) => attributes)).toEqual(
      sends.map(({ attributes }) => ({ 'messaging.message.id': attributes['messaging.message.id'] })),
    );
    expect(telemetry.named('ack jobs').map(({ parentId }) => parentId)).toEqual([batch.spanId, batch.spanId]);
  });

  it('of a request are the parent of those of its responder', async () => {
    const responder = broker.responder(double, ({ body: { n } }) => ({ n: n * 2 }));
    await responder.ready;
    await broker.request(double, { n: 2 });
    await broker.advance(10);
    await broker.settled();
    const request = telemetry.only('request double');
    expect(request).toMatchObject({ kind: 'PRODUCER', attributes: { 'messaging.operation.type': 'send' } });
    expect(telemetry.only('process double')).toMatchObject({ parentId: request.spanId });
    expect(telemetry.spans.map(({ name }) => name).toSorted()).toEqual([
      ...['ack double', 'process double', 'request double'],
    ]);
  });

  it('of a loop end with the verdict, and its context is to be had', async () => {
    await broker.producer(jobs).send({ n: 1 });
    for await (const message of broker.consumer(jobs)) {
      expect(context.active()).toBe(ROOT_CONTEXT);
      context.with(messageContext(message), () => telemetry.tracer.startSpan('inside').end());
      message.ack();
      break;
    }
    await broker.settled();
    const run = telemetry.only('process jobs');
    expect(telemetry.only('inside').parentId).toBe(run.spanId);
    expect(telemetry.only('ack jobs').parentId).toBe(run.spanId);
  });

  it('begin traces of their own, with links, where that is asked for', async () => {
    telemetry.instrumentation.setConfig({ useLinksForConsume: true });
    broker.consumer(jobs, () => {});
    await broker.producer(jobs).send({ n: 1 });
    await broker.settled();
    const send = telemetry.only('send jobs');
    expect(telemetry.only('process jobs')).toMatchObject({ parentId: undefined, links: [send.spanId] });
    expect(telemetry.only('process jobs').traceId).not.toBe(send.traceId);
  });

  it('count a wish for another attempt as no failure', async () => {
    let runs = 0;
    broker.consumer(jobs, () => {
      if (++runs === 1) throw new RetryLater();
    });
    await broker.producer(jobs).send({ n: 1 });
    await broker.settled();
    expect(telemetry.only('process jobs')).toMatchObject({ isError: false });
    expect(telemetry.only('process jobs').attributes).not.toHaveProperty(['error.type']);
  });

  it('of a failed send have the code of its error', async () => {
    await broker
      .producer(jobs)
      .send({ n: 'x' } as never)
      .catch(() => {});
    expect(telemetry.only('send jobs')).toMatchObject({
      isError: true,
      attributes: { 'error.type': 'INVALID_BODY' },
    });
    expect(await telemetry.points('messaging.client.sent.messages')).toEqual([]);
  });
});

describe('the context of a message', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

  it('carries the baggage into the handler, and nothing of the context that was active before', async () => {
    const seen: unknown[] = [];
    const ambient = propagation.setBaggage(
      ROOT_CONTEXT,
      propagation.createBaggage({ shop: { value: 'eu' } }),
    );
    await context.with(ambient, async () => {
      broker.consumer(jobs, () => void seen.push(propagation.getActiveBaggage()?.getEntry('shop')?.value));
      await broker.producer(jobs).send({ n: 1 });
    });
    await broker.producer(jobs).send({ n: 2 });
    await broker.settled();
    expect(seen).toEqual(['eu', undefined]);
  });

  it('that the caller has given is kept, and linked to', async () => {
    await broker.producer(jobs).send({ n: 1 }, { headers: { traceparent } });
    expect(telemetry.only('send jobs')).toMatchObject({ kind: 'CLIENT', links: ['b7ad6b7169203331'] });
    expect(broker.sent(jobs)).toMatchObject([{ headers: { traceparent } }]);
  });

  it('is none when the header is broken', async () => {
    telemetry.instrumentation.disable();
    await broker.producer(jobs).send({ n: 1 }, { headers: { traceparent: 'nonsense' } });
    await broker.producer(jobs).send({ n: 2 }, { headers: { traceparent: Buffer.from(traceparent) } });
    telemetry.instrumentation.enable();
    broker.consumer(jobs, () => {});
    await broker.settled();
    expect(telemetry.named('process jobs').map(({ parentId }) => parentId)).toEqual([
      undefined,
      'b7ad6b7169203331',
    ]);
  });
});

describe('the metrics', () => {
  it('count and measure with the contract as the destination', async () => {
    const subscription = broker.consumer(orders.subscription('#'), ({ body: { n } }) => {
      if (n < 0) throw new RangeError('negative');
    });
    await subscription.ready;
    for (const n of [1, 2, -1]) await broker.producer(orders).send({ n }, { routingKey: `key.${n}` });
    broker.consumer(jobs, () => {});
    await broker
      .producer(queue('jobs', z.object({ m: z.string() }), { retry: { attempts: 3, jitter: false } }))
      .send({ m: '' });
    await broker.settled();
    const of = (operation: string, name: string) => ({
      'messaging.system': 'rabbitmq',
      'messaging.operation.name': operation,
      'messaging.destination.name': name,
      'server.address': 'memory',
    });
    expect(await telemetry.points('messaging.client.sent.messages')).toEqual([
      { attributes: of('send', 'orders'), count: 3 },
      { attributes: of('send', 'jobs'), count: 1 },
    ]);
    expect(await telemetry.points('messaging.client.consumed.messages')).toEqual([
      { attributes: of('process', 'orders'), count: 3 },
      { attributes: { ...of('process', 'jobs'), 'error.type': 'INVALID_BODY' }, count: 1 },
    ]);
    expect(await telemetry.points('messaging.process.duration')).toEqual([
      { attributes: of('process', 'orders'), count: 2 },
      { attributes: { ...of('process', 'orders'), 'error.type': 'RangeError' }, count: 1 },
    ]);
    expect(await telemetry.points('messaging.client.operation.duration')).toContainEqual({
      attributes: { ...of('dead-letter', 'jobs'), 'messaging.operation.type': 'settle' },
      count: 1,
    });
  });
});

describe('the instrumentation', () => {
  it('records and injects nothing after disable(), and does again after enable()', async () => {
    telemetry.instrumentation.disable();
    await broker.producer(jobs).send({ n: 1 });
    expect(telemetry.spans).toEqual([]);
    telemetry.instrumentation.enable();
    await broker.producer(jobs).send({ n: 2 });
    expect(telemetry.spans).toHaveLength(1);
    expect(broker.sent(jobs).map(({ headers }) => Object.keys(headers))).toEqual([[], ['traceparent']]);
  });

  it('is one that registerInstrumentations takes, and uses global providers that come later', async () => {
    const late = new LeveretInstrumentation({ enabled: false });
    telemetry.instrumentation.disable();
    const unregister = registerInstrumentations({ instrumentations: [late] });
    trace.setGlobalTracerProvider(telemetry.tracers);
    await broker.producer(jobs).send({ n: 1 });
    expect(telemetry.named('send jobs')).toHaveLength(1);
    unregister();
    await broker.producer(jobs).send({ n: 1 });
    expect(telemetry.named('send jobs')).toHaveLength(1);
    expect(late).toMatchObject({
      instrumentationName: 'leveret',
      instrumentationVersion: expect.any(String),
    });
  });

  it('refuses options that it does not know', () => {
    expect(() => new LeveretInstrumentation({ useLinks: true } as never)).toThrow(
      "unknown option 'useLinks'",
    );
  });
});
