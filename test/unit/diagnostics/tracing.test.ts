import { AsyncLocalStorage } from 'node:async_hooks';
import { channel, subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel';
import {
  Broker,
  DeadLetter,
  type DiagnosticsChannels,
  exchange,
  procedure,
  queue,
  RetryLater,
} from 'leveret';
import { TestBroker } from 'leveret/testing';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { Recorder } from './recorder.js';

const body = z.object({ n: z.number() });
const jobs = queue('jobs', body, { retry: { attempts: 2, jitter: false } });
const orders = exchange('orders', body, { type: 'topic' });
const double = procedure('double', { request: body, response: body });

let broker: TestBroker;
let recorder: Recorder;

beforeEach(async () => {
  recorder = new Recorder();
  broker = await TestBroker.start();
});

afterEach(async () => {
  await broker.close();
  recorder[Symbol.dispose]();
  expect(recorder.complaints()).toEqual([]);
});

/** What was recorded from here on, when nothing is left to do. */
async function settled(): Promise<void> {
  await broker.settled();
}

describe('the traces', () => {
  it('follow a message from its send to its acknowledgement', async () => {
    broker.consumer(jobs, () => {});
    const { messageId } = await broker
      .producer(jobs)
      .send({ n: 1 }, { correlationId: 'c', headers: { a: 'b' } });
    await settled();
    const common = { broker: undefined, serverAddress: 'memory', serverPort: undefined };
    const message = { messageId, correlationId: 'c', exchange: '', routingKey: 'jobs', headers: { a: 'b' } };
    const consumed = { ...message, attempt: 1, redelivered: false, deliveryTag: 1, queue: 'jobs' };
    expect(recorder.begun('send')).toEqual([
      {
        ...common,
        ...message,
        destination: 'jobs',
        kind: 'queue',
        delayMs: undefined,
        result: { messageId },
      },
    ]);
    expect(recorder.begun('process')).toEqual([
      { ...common, ...consumed, waitedMs: expect.any(Number), loop: false },
    ]);
    expect(recorder.begun('settle')).toEqual([
      { ...common, ...consumed, verdict: 'ack', delayMs: undefined, reason: undefined, result: true },
    ]);
    expect(recorder.order().filter((it) => !/^(?:connect|send)/.test(it))).toEqual([
      ...['process:start', 'process:asyncEnd', 'settle:start', 'settle:asyncEnd'],
    ]);
  });

  it('tell of failures, retries and dead letters with the very error', async () => {
    const error = new Error('broken');
    broker.consumer(jobs, () => Promise.reject(error));
    await broker.producer(jobs).send({ n: 1 });
    await settled();
    await broker.advance('2s');
    await settled();
    const runs = recorder.begun('process');
    expect(runs.map(({ attempt, error: of }) => ({ attempt, isIts: of === error }))).toEqual([
      { attempt: 1, isIts: true },
      { attempt: 2, isIts: true },
    ]);
    expect(recorder.begun('settle')).toMatchObject([
      { verdict: 'retry', delayMs: 1_000, reason: error, result: true },
      { verdict: 'dead-letter', delayMs: undefined, reason: error, result: true },
    ]);
  });

  it.each([
    ['DeadLetter', () => new DeadLetter('no'), 'dead-letter'],
    ['RetryLater', () => new RetryLater({ delayMs: 5_000 }), 'retry'],
  ])('count a thrown %s as a failed run', async (_name, make, verdict) => {
    const error = make();
    broker.consumer(jobs, () => {
      throw error;
    });
    await broker.producer(jobs).send({ n: 1 });
    await settled();
    expect(recorder.begun('process')).toMatchObject([{ error }]);
    expect(recorder.begun('settle')).toMatchObject([{ verdict, reason: error }]);
  });

  it('begin a verdict inside the handler where it is given', async () => {
    broker.consumer(jobs, async (message) => {
      message.deadLetter('unknown customer');
      await Promise.resolve();
    });
    await broker.producer(jobs).send({ n: 1 });
    await settled();
    expect(recorder.order().filter((it) => /^(?:process|settle):(?:start|asyncEnd)/.test(it))).toEqual([
      ...['process:start', 'settle:start', 'process:asyncEnd', 'settle:asyncEnd'],
    ]);
    expect(recorder.begun('settle')).toMatchObject([{ verdict: 'dead-letter', reason: 'unknown customer' }]);
  });

  it('tell of an invalid message by its verdict alone', async () => {
    broker.consumer(jobs, () => {});
    await broker
      .producer(queue('jobs', z.object({ m: z.string() }), { retry: { attempts: 2, jitter: false } }))
      .send({ m: '' });
    await settled();
    expect(recorder.begun('process')).toEqual([]);
    expect(recorder.begun('settle')).toMatchObject([
      { verdict: 'dead-letter', reason: { code: 'INVALID_BODY' }, result: true },
    ]);
  });

  it('end the body of a loop with its verdict', async () => {
    await broker.producer(jobs).sendAll([{ n: 1 }, { n: 2 }]);
    for await (const { body: got } of broker.consumer(jobs)) if (got.n === 2) break;
    await settled();
    expect(recorder.begun('process')).toMatchObject([{ loop: true }, { loop: true }]);
    expect(recorder.begun('settle')).toMatchObject([{ verdict: 'ack' }, { verdict: 'requeue' }]);
    expect(recorder.order().filter((it) => /^(?:process|settle)/.test(it))).toEqual([
      ...['process:start', 'settle:start', 'process:asyncEnd', 'process:start'],
      ...['settle:asyncEnd', 'settle:start', 'process:asyncEnd', 'settle:asyncEnd'],
    ]);
  });

  it('tell of a batch once, with its messages', async () => {
    broker.batchConsumer(jobs, () => {}, { size: 2, maxWaitMs: 1 });
    const { sent } = await broker.producer(jobs).sendAll([{ n: 1 }, { n: 2 }]);
    expect(sent).toBe(2);
    await settled();
    const ids = recorder.begun('send').map(({ messageId }) => messageId);
    const [batch, ...others] = recorder.begun('process');
    expect(others).toEqual([]);
    expect(batch).toMatchObject({
      queue: 'jobs',
      loop: false,
      messages: ids.map((messageId) => ({ messageId })),
    });
    expect(batch).not.toHaveProperty('messageId');
    expect(recorder.begun('settle')).toMatchObject([{ verdict: 'ack' }, { verdict: 'ack' }]);
  });

  it('follow a request to its answer, and its responder', async () => {
    const responder = broker.responder(double, ({ body: { n } }) =>
      n < 0 ? Promise.reject(new Error('negative')) : { n: n * 2 },
    );
    await responder.ready;
    expect(await broker.request(double, { n: 2 })).toEqual({ n: 4 });
    const failure = await broker.request(double, { n: -1 }).catch((error: unknown) => error);
    // The acknowledgements of requests wait for others.
    await broker.advance(10);
    await settled();
    expect(recorder.begun('request')).toMatchObject([
      { destination: 'double', kind: 'procedure', exchange: '', routingKey: 'double' },
      { destination: 'double', error: failure },
    ]);
    expect(recorder.begun('process')).toMatchObject([
      { queue: 'double' },
      { error: { message: 'negative' } },
    ]);
    expect(recorder.begun('settle')).toMatchObject([{ verdict: 'ack' }, { verdict: 'ack', result: true }]);
  });

  it.each([
    ['a body that does not fit', { n: 'x' }, {}],
    ['a wrong option', { n: 1 }, { ttl: 5 }],
    ['an aborted signal', { n: 1 }, { signal: AbortSignal.abort(new Error('given up')) }],
    ['options that are none', { n: 1 }, 'fast'],
  ])('see a send that fails because of %s', async (_what, wrong, options) => {
    const send = broker.producer(jobs).send as (...args: unknown[]) => Promise<unknown>;
    const sent = send.call(broker.producer(jobs), wrong, options);
    expect(recorder.begun('send')).toHaveLength(1);
    const error = await sent.catch((reason: unknown) => reason);
    expect(recorder.begun('send')).toMatchObject([{ error }]);
  });

  it.each([
    ['lost', () => broker.disconnect(), { code: 'CLOSED' }],
    ['given up by close', () => broker.close({ timeoutMs: 0 }), { code: 'CLOSED' }],
    ['out of time', () => broker.advance('2s'), { code: 'TIMEOUT' }],
  ])('end a run whose delivery is %s', async (_how, happen, error) => {
    const entered = gate();
    const leave = gate();
    broker.consumer(
      jobs,
      async ({ attempt }) => {
        entered.open();
        if (attempt === 1) await leave.opened;
      },
      { handlerTimeoutMs: 1_000 },
    );
    await broker.producer(jobs).send({ n: 1 });
    await entered.opened;
    await happen();
    await vi.waitFor(() => expect(recorder.begun('process')[0]).toMatchObject({ error }));
    leave.open();
  });

  it('end a verdict on a stale delivery with false', async () => {
    const results: boolean[] = [];
    await broker.producer(jobs).send({ n: 1 });
    for await (const message of broker.consumer(jobs)) {
      await broker.disconnect();
      results.push(message.ack());
      break;
    }
    expect(results).toEqual([false]);
    expect(recorder.begun('settle')[0]).toMatchObject({ verdict: 'ack', result: false });
    expect(recorder.begun('process')[0]).toMatchObject({ error: { code: 'CLOSED' } });
  });
});

describe('the headers of a send', () => {
  it('take what a subscriber adds at once, and never change those of the caller', async () => {
    const add = (payload: unknown) => {
      const { headers } = payload as DiagnosticsChannels['leveret:send'];
      headers.traceparent = 'added';
      queueMicrotask(() => {
        headers.late = 'too late';
      });
    };
    subscribe('tracing:leveret:send:start', add);
    const headers = { own: 'mine' };
    const slow = queue(
      'slow',
      body.refine(async () => true),
    );
    try {
      await broker.producer(jobs).send({ n: 1 }, { headers });
      await broker.producer(slow).send({ n: 1 });
    } finally {
      unsubscribe('tracing:leveret:send:start', add);
    }
    expect(headers).toEqual({ own: 'mine' });
    expect(broker.sent(jobs)).toMatchObject([{ headers: { own: 'mine', traceparent: 'added' } }]);
    expect(broker.sent(slow).map((it) => ({ ...it.headers }))).toEqual([{ traceparent: 'added' }]);
  });

  it('fail the send when they cannot be encoded', async () => {
    const add = (payload: unknown) => {
      (payload as DiagnosticsChannels['leveret:send']).headers.wrong = () => {};
    };
    subscribe('tracing:leveret:send:start', add);
    try {
      await expect(broker.producer(jobs).send({ n: 1 })).rejects.toMatchObject({ code: 'INVALID_OPTION' });
    } finally {
      unsubscribe('tracing:leveret:send:start', add);
    }
  });
});

describe('the asynchronous context', () => {
  const store = new AsyncLocalStorage<string>();

  it('of a handler is that which is bound to its start', async () => {
    const seen: unknown[] = [];
    const { start } = tracingChannel('leveret:process');
    start.bindStore(store, (payload) => (payload as DiagnosticsChannels['leveret:process']).queue);
    try {
      broker.consumer(jobs, async () => {
        await Promise.resolve();
        seen.push(store.getStore());
      });
      await broker.producer(jobs).send({ n: 1 });
      await settled();
    } finally {
      start.unbindStore(store);
    }
    expect(seen).toEqual(['jobs']);
  });

  it('of a handler is never that of the sender, nor of the code that made the consumer or resumed it', async () => {
    const seen: unknown[] = [];
    const handler = () => void seen.push(store.getStore());
    await store.run('maker', async () => {
      const own = await Broker.connect('memory:');
      const consumer = own.consumer(jobs, handler);
      own.batchConsumer(queue('batches', body), handler, { size: 1 });
      const responder = own.responder(double, ({ body: given }) => {
        handler();
        return given;
      });
      await responder.ready;
      await store.run('sender', () => own.producer(jobs).send({ n: 1 }));
      await vi.waitFor(() => expect(seen).toHaveLength(1));
      await consumer.pause();
      await store.run('sender', () => own.producer(jobs).send({ n: 2 }));
      await store.run('sender', () => own.producer(queue('batches', body)).send({ n: 2 }));
      await store.run('resumer', () => consumer.resume());
      await own.request(double, { n: 2 });
      await vi.waitFor(() => expect(seen).toHaveLength(4));
      await own.close();
    });
    expect(seen).toEqual([undefined, undefined, undefined, undefined]);
  });
});

describe('the events of a broker', () => {
  it('are published on plain channels before the listeners are called', async () => {
    const told: unknown[] = [];
    const heard = (payload: unknown) => void told.push(payload);
    const target = channel('leveret:dead-lettered');
    target.subscribe(heard);
    try {
      const own = await Broker.connect('memory:', { name: 'mine' });
      own.on('dead-lettered', () => told.push('listener'));
      own.consumer(queue('hopeless', body, { retry: false }), () => Promise.reject(new Error('no')));
      await own.producer(queue('hopeless', body, { retry: false })).send({ n: 1 });
      await vi.waitFor(() => expect(told).toHaveLength(2));
      await own.close();
    } finally {
      target.unsubscribe(heard);
    }
    expect(told).toEqual([
      expect.objectContaining({ queue: 'hopeless', broker: 'mine', deadLetterQueue: 'hopeless.dead' }),
      'listener',
    ]);
  });
});

describe('a trace that began without a subscriber', () => {
  it('is not published at all', async () => {
    recorder[Symbol.dispose]();
    const leave = gate();
    const entered = gate();
    broker.consumer(jobs, async () => {
      entered.open();
      await leave.opened;
    });
    await broker.producer(jobs).send({ n: 1 });
    await entered.opened;
    using late = new Recorder(['process', 'send']);
    leave.open();
    await settled();
    expect(late.events).toEqual([]);
  });
});

it('connects once for each attempt', async () => {
  const events = recorder.begun('connect').length;
  const closed = new Broker('amqp://user:hunter2@127.0.0.1:1', {
    startupTimeoutMs: 400,
    reconnect: { initialDelayMs: 1 },
  });
  const error = await closed.connect().catch((reason: unknown) => reason);
  await closed.close();
  const attempts = recorder.begun('connect').slice(events);
  expect(attempts.length).toBeGreaterThan(1);
  expect(attempts.map(({ attempt }) => attempt)).toEqual(attempts.map((_, index) => index + 1));
  expect(attempts[0]).toMatchObject({
    serverAddress: '127.0.0.1',
    serverPort: 1,
    role: 'publish',
    reconnect: false,
    error: { code: 'CONNECTION_FAILED' },
  });
  expect(JSON.stringify([attempts, String(error)])).not.toContain('hunter2');
  expect(orders.name).toBe('orders');
});
