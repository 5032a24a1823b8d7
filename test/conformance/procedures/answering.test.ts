import { DeadLetter, procedure, RemoteError, RetryLater } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { gate, unreadable } from '../helpers.js';
import { Peer } from '../port/peer.js';
import { suite } from '../suite.js';

const echo = procedure('echo', {
  request: z.object({ n: z.number() }),
  response: z.object({ n: z.number() }),
});
const loose = procedure('echo', { request: z.any(), response: z.any(), declare: false });

suite('a responder', {
  'that throws answers with its error, without the stack': async (bench) => {
    const broker = await bench.connect();
    const events = recordEvents(broker);
    const responder = broker.responder(echo, ({ body }) => {
      if (body.n === 1) throw Object.assign(new Error('sold: out'), { code: 'SOLD_OUT' });
      if (body.n === 2) throw new TypeError('no');
      return body;
    });
    await responder.ready;
    const error = await broker.request(echo, { n: 1 }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RemoteError);
    expect(error).toMatchObject({
      code: 'REMOTE',
      remoteCode: 'SOLD_OUT',
      message: "The responder of the procedure 'echo' failed: sold: out",
      retryable: false,
    });
    await expect(broker.request(echo, { n: 2 })).rejects.toMatchObject({
      remoteCode: 'TypeError',
      message: "The responder of the procedure 'echo' failed: no",
    });
    expect(await broker.request(echo, { n: 3 })).toEqual({ n: 3 });
    expect(events.of('handler-error')).toMatchObject([
      { queue: 'echo', attempt: 1, error: { code: 'SOLD_OUT' } },
      { queue: 'echo', attempt: 1, error: { message: 'no' } },
    ]);
    expect(events.of('dead-lettered')).toEqual([]);
    await expect.poll(() => responder.stats.acked).toBe(3);
    await expect.poll(() => broker.stats(echo)).toEqual({ messages: 0, consumers: 1 });
  },

  'that throws what cannot be read answers all the same': async (bench) => {
    const broker = await bench.connect();
    const thrown = unreadable();
    const responder = broker.responder(echo, ({ body }) => {
      throw thrown[body.n];
    });
    await responder.ready;
    for (const n of thrown.keys()) {
      await expect(broker.request(echo, { n }, { timeoutMs: 10_000 })).rejects.toMatchObject({
        code: 'REMOTE',
      });
    }
  },

  'that gives up, or asks for another attempt, leaves that to the requester': async (bench) => {
    const broker = await bench.connect();
    let runs = 0;
    const responder = broker.responder(echo, ({ body }) => {
      runs++;
      throw body.n === 1 ? new DeadLetter('hopeless') : new RetryLater();
    });
    await responder.ready;
    await expect(broker.request(echo, { n: 1 })).rejects.toMatchObject({
      remoteCode: 'DeadLetter',
      message: "The responder of the procedure 'echo' failed: hopeless",
      retryable: false,
    });
    await expect(broker.request(echo, { n: 2 })).rejects.toMatchObject({
      remoteCode: 'RetryLater',
      retryable: true,
    });
    expect(runs).toBe(2);
  },

  'whose answer does not fit the schema answers with INVALID_BODY': async (bench) => {
    const broker = await bench.connect();
    const events = recordEvents(broker);
    // @ts-expect-error: not a number
    await broker.responder(echo, () => ({ n: 'one' })).ready;
    const error = await broker.request(echo, { n: 1 }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'REMOTE', remoteCode: 'INVALID_BODY' });
    expect((error as Error).message).toMatch(/the response from the procedure 'echo': n: /);
    expect(events.of('handler-error')).toMatchObject([{ error: { code: 'INVALID_BODY' } }]);
  },

  'whose answer the requester does not understand is found out there': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(echo);
    await broker.responder(loose, () => ({ n: 'one' })).ready;
    const error = await broker.request(echo, { n: 1 }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'REMOTE',
      remoteCode: 'INVALID_BODY',
      cause: { issues: [{ path: ['n'] }] },
    });
  },

  'whose answer is too large says so': async (bench) => {
    const broker = await bench.connect({ maxBodyBytes: 100 });
    const wide = procedure('wide', { request: z.number(), response: z.string() });
    await broker.responder(wide, () => 'x'.repeat(100)).ready;
    await expect(broker.request(wide, 1)).rejects.toMatchObject({ remoteCode: 'MESSAGE_TOO_LARGE' });
  },

  'answers a request that does not fit with INVALID_BODY, without its handler': async (bench) => {
    const broker = await bench.connect();
    const events = recordEvents(broker);
    let runs = 0;
    const responder = broker.responder(echo, ({ body }) => {
      runs++;
      return body;
    });
    await responder.ready;
    await expect(broker.request(loose, { n: 'one' })).rejects.toMatchObject({
      code: 'REMOTE',
      remoteCode: 'INVALID_BODY',
    });
    expect(runs).toBe(0);
    expect(events.of('invalid-message')).toMatchObject([{ queue: 'echo', issues: [{ path: ['n'] }] }]);
    expect(events.of('dead-lettered')).toEqual([]);
    await expect.poll(() => responder.stats.acked).toBe(1);
    await expect.poll(() => broker.stats(echo)).toEqual({ messages: 0, consumers: 1 });
  },

  'that takes too long answers with TIMEOUT, and only once': async (bench) => {
    const broker = await bench.connect();
    const held = gate();
    const options = { handlerTimeoutMs: 50, concurrency: 2 };
    const responder = broker.responder(echo, ({ body }) => held.opened.then(() => body), options);
    await responder.ready;
    await expect(broker.request(echo, { n: 1 })).rejects.toMatchObject({ remoteCode: 'TIMEOUT' });
    held.open();
    expect(await broker.request(echo, { n: 2 })).toEqual({ n: 2 });
    expect(responder.stats.inFlight).toBe(0);
  },

  'shares the requests with others': async (bench) => {
    const [asking, one, two] = [await bench.connect(), await bench.connect(), await bench.connect()];
    await one.responder(echo, () => ({ n: 1 })).ready;
    await two.responder(echo, () => ({ n: 2 })).ready;
    const answered: number[] = [];
    for (let n = 0; n < 6; n++) answered.push((await asking.request(echo, { n })).n);
    expect(answered.toSorted()).toEqual([1, 1, 1, 2, 2, 2]);
  },

  'that dies in mid-work leaves the request to another one': async (bench) => {
    const [asking, first, second] = [await bench.connect(), await bench.connect(), await bench.connect()];
    const held = gate();
    let began = false;
    const dying = first.responder(echo, () => {
      began = true;
      return held.opened.then(() => ({ n: -1 }));
    });
    await dying.ready;
    const asked = asking.request(echo, { n: 1 });
    await expect.poll(() => began).toBe(true);
    expect(await first.close({ timeoutMs: 0 })).toEqual({ clean: false });
    const attempts: number[] = [];
    await second.responder(echo, ({ body, attempt }) => {
      attempts.push(attempt);
      return body;
    }).ready;
    expect(await asked).toEqual({ n: 1 });
    expect(attempts).toEqual([2]);
    held.open();
  },

  'can give a request back, for another one to answer': async (bench) => {
    const broker = await bench.connect();
    await broker.responder(echo, (message) => {
      if (!message.redelivered) message.requeue();
      return { n: message.redelivered ? 2 : 1 };
    }).ready;
    expect(await broker.request(echo, { n: 0 })).toEqual({ n: 2 });
  },

  'may acknowledge ahead, and answers all the same': async (bench) => {
    const broker = await bench.connect();
    const responder = broker.responder(echo, (message) => {
      message.ack();
      return message.body;
    });
    await responder.ready;
    expect(await broker.request(echo, { n: 1 })).toEqual({ n: 1 });
    expect(responder.stats.acked).toBe(1);
  },

  'that fails after it has acknowledged answers with its error all the same': async (bench) => {
    const broker = await bench.connect();
    const responder = broker.responder(echo, (message): Promise<{ n: number }> | { n: number } => {
      expect(message.ack()).toBe(true);
      if (message.body.n === 0) throw new DeadLetter('hopeless');
      if (message.body.n === 1) return Promise.reject(new TypeError('no'));
      const invalid = { n: 'text' } as unknown as { n: number };
      return message.body.n === 2 ? invalid : Promise.resolve(invalid);
    });
    await responder.ready;
    const ask = (n: number) => broker.request(echo, { n }, { timeoutMs: 20_000 });
    await expect(ask(0)).rejects.toMatchObject({
      remoteCode: 'DeadLetter',
      message: "The responder of the procedure 'echo' failed: hopeless",
    });
    await expect(ask(1)).rejects.toMatchObject({
      remoteCode: 'TypeError',
      message: "The responder of the procedure 'echo' failed: no",
    });
    await expect(ask(2)).rejects.toMatchObject({ code: 'REMOTE', remoteCode: 'INVALID_BODY' });
    await expect(ask(3)).rejects.toMatchObject({ code: 'REMOTE', remoteCode: 'INVALID_BODY' });
    await expect.poll(() => responder.stats.acked).toBe(4);
  },

  'pauses and goes on': async (bench) => {
    const broker = await bench.connect();
    const responder = broker.responder(echo, ({ body }) => body);
    await responder.ready;
    await responder.pause();
    const asked = broker.request(echo, { n: 1 });
    await expect.poll(async () => (await broker.stats(echo)).messages).toBe(1);
    expect(broker.health().consumers).toMatchObject([{ queue: 'echo', state: 'paused' }]);
    await responder.resume();
    expect(await asked).toEqual({ n: 1 });
  },

  'does not mind a requester that is gone': async (bench) => {
    const [asking, answering] = [await bench.connect(), await bench.connect()];
    const events = recordEvents(answering);
    const held = gate();
    const responder = answering.responder(echo, ({ body }) =>
      body.n === 1 ? held.opened.then(() => body) : body,
    );
    await responder.ready;
    const asked = asking.request(echo, { n: 1 });
    const rejected = expect(asked).rejects.toMatchObject({ code: 'CLOSED', maybeDelivered: true });
    await expect.poll(() => responder.stats.inFlight).toBe(1);
    await asking.close({ timeoutMs: 0 });
    await rejected;
    held.open();
    await expect.poll(() => responder.stats.acked).toBe(1);
    expect(await answering.request(echo, { n: 2 })).toEqual({ n: 2 });
    expect(events.names.filter((name) => name !== 'connected')).toEqual([]);
  },

  'serves other clients: to a queue of theirs, with their correlation id': async (bench) => {
    await using peer = new Peer(bench.target);
    const broker = await bench.connect();
    await broker.responder(echo, ({ body }) => {
      if (body.n === 0) throw new Error('zero');
      return body;
    }).ready;
    const other = await peer.channel();
    await other.queue('answers');
    const replies = await other.consume('answers', 0, { noAck: true });
    const properties = { replyTo: 'answers', correlationId: '7' };
    await other.publish('echo', '{"n":1}', { properties });
    await expect.poll(() => replies.received.length).toBe(1);
    expect(replies.received[0]).toMatchObject({
      text: '{"n":1}',
      properties: { correlationId: '7', contentType: 'application/json' },
    });
    await other.publish('echo', '{"n":0}', { properties });
    await other.publish('echo', 'not JSON', { properties: { replyTo: 'answers', messageId: 'm-1' } });
    await expect.poll(() => replies.received.length).toBe(3);
    const [, failed, invalid] = replies.received;
    expect(JSON.parse(failed?.text ?? '')).toEqual({ error: { code: 'Error', message: 'zero' } });
    expect(JSON.parse(invalid?.text ?? '')).toMatchObject({ error: { code: 'INVALID_BODY' } });
    expect(invalid?.properties.correlationId).toBe('m-1');
  },

  'handles a request without a reply address, and sends no answer': async (bench) => {
    await using peer = new Peer(bench.target);
    const broker = await bench.connect();
    const handled: number[] = [];
    const responder = broker.responder(echo, ({ body }) => {
      handled.push(body.n);
      if (body.n === 2) throw new Error('two');
      return body;
    });
    await responder.ready;
    const other = await peer.channel();
    await other.publish('echo', '{"n":1}');
    await other.publish('echo', '{"n":2}', { properties: { replyTo: 'no.such.queue' } });
    await expect.poll(() => responder.stats.acked).toBe(2);
    expect(handled).toEqual([1, 2]);
    await expect.poll(() => broker.stats(echo)).toEqual({ messages: 0, consumers: 1 });
  },

  'can be another client: plain JSON with the correlation id': async (bench) => {
    await using peer = new Peer(bench.target);
    const broker = await bench.connect();
    await broker.declare(echo);
    const other = await peer.channel();
    const requests = await other.consume('echo', 0, { noAck: true });
    const asked = broker.request(echo, { n: 1 });
    await expect.poll(() => requests.received.length).toBe(1);
    const { properties, text } = requests.received[0] ?? { properties: {}, text: '' };
    expect(JSON.parse(text)).toEqual({ n: 1 });
    const correlationId = String(properties.correlationId);
    // An answer without a request is ignored.
    await other.publish(String(properties.replyTo), '{"n":9}', { properties: { correlationId: 'other' } });
    await other.publish(String(properties.replyTo), '{"n":9}');
    await other.publish(String(properties.replyTo), '{"n":2}', { properties: { correlationId } });
    expect(await asked).toEqual({ n: 2 });
  },

  'takes no option that would lose requests': async (bench) => {
    const broker = await bench.connect();
    expect(() => broker.responder(echo, ({ body }) => body, { noAck: true } as object)).toThrow(/noAck/);
    expect(() => broker.responder(echo, 'handler' as never)).toThrow(/must be a function/);
    expect(() => broker.responder(echo.queue as never, () => ({ n: 1 }))).toThrow(/procedure\(\)/);
    await expect(broker.request(echo.queue as never, {})).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  },
});

suite('closing a broker', {
  'lets running responders end and answer': async (bench) => {
    const [asking, answering] = [await bench.connect(), await bench.connect()];
    const held = gate();
    const responder = answering.responder(echo, ({ body }) => held.opened.then(() => body));
    await responder.ready;
    const asked = asking.request(echo, { n: 1 });
    await expect.poll(() => responder.stats.inFlight).toBe(1);
    const closing = answering.close();
    await expect.poll(() => responder.state.status).toBe('closing');
    held.open();
    expect(await closing).toEqual({ clean: true });
    expect(await asked).toEqual({ n: 1 });
    await expect.poll(() => asking.stats(echo)).toEqual({ messages: 0, consumers: 0 });
  },

  'lets pending requests finish, and takes no more': async (bench) => {
    const [asking, answering] = [await bench.connect(), await bench.connect()];
    const held = gate();
    const responder = answering.responder(echo, ({ body }) => held.opened.then(() => body));
    await responder.ready;
    const asked = asking.request(echo, { n: 1 });
    await expect.poll(() => responder.stats.inFlight).toBe(1);
    const closing = asking.close();
    held.open();
    expect(await asked).toEqual({ n: 1 });
    expect(await closing).toEqual({ clean: true });
    await expect(asking.request(echo, { n: 2 })).rejects.toMatchObject({
      code: 'CLOSED',
      maybeDelivered: false,
    });
  },

  'rejects requests without an answer at the deadline': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(echo);
    const asked = broker.request(echo, { n: 1 });
    const rejected = expect(asked).rejects.toMatchObject({ code: 'CLOSED', maybeDelivered: true });
    await expect.poll(async () => (await broker.stats(echo)).messages).toBe(1);
    expect(await broker.close({ timeoutMs: 100 })).toEqual({ clean: false });
    await rejected;
  },

  'lets a running handler ask others': async (bench) => {
    const [outer, inner] = [await bench.connect(), await bench.connect()];
    const both = procedure('both', { request: z.number(), response: z.number() });
    await inner.responder(echo, ({ body }) => ({ n: body.n + 1 })).ready;
    const held = gate();
    const responder = outer.responder(both, async ({ body }) => {
      await held.opened;
      return (await outer.request(echo, { n: body })).n;
    });
    await responder.ready;
    const asked = inner.request(both, 1);
    await expect.poll(() => responder.stats.inFlight).toBe(1);
    const closing = outer.close();
    held.open();
    expect(await asked).toBe(2);
    expect(await closing).toEqual({ clean: true });
  },
});
