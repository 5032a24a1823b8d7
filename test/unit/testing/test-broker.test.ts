import { exchange, isLeveretError, procedure, queue } from 'leveret';
import { TestBroker } from 'leveret/testing';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { deferred } from '../../../src/util/promises.js';
import { realTimers } from '../../../src/util/timers.js';
import { recordEvents } from '../../helpers/recorded-events.js';

const emails = queue('emails', z.object({ to: z.string(), urgent: z.boolean().default(false) }), {
  retry: { attempts: 3, initialDelayMs: 600_000, maxDelayMs: 3_600_000 },
});

/** A promise with its resolver. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, opened };
}

const slow = queue('slow', z.object({ n: z.number() }), { retry: false });

/** Lets so many messages fail, and puts back every other one of them, one in 100 seconds. */
async function replayOddOnes(broker: TestBroker, count: number) {
  const consumer = broker.consumer(slow, () => {
    throw new Error('not yet');
  });
  await broker.producer(slow).sendAll(Array.from({ length: count }, (_, n) => ({ n })));
  await broker.settled();
  await consumer.close();
  const looked: number[] = [];
  const replaying = broker.deadLetters(slow).replay({
    ratePerSecond: 0.01,
    filter: ({ body }) => {
      looked.push(body.n);
      return body.n % 2 === 1;
    },
  });
  return { looked, replaying };
}

describe('a test broker', () => {
  it('shows what was sent and what became of it, with its types', async () => {
    await using broker = await TestBroker.start();
    broker.consumer(emails, () => undefined);
    const { messageId } = await broker.producer(emails).send({ to: 'ada' }, { headers: { tenant: 'a' } });
    await broker.settled();
    expect(broker.sent(emails)).toEqual([
      {
        body: { to: 'ada' },
        id: messageId,
        routingKey: 'emails',
        headers: { tenant: 'a' },
        correlationId: undefined,
      },
    ]);
    const [handled] = broker.handled(emails);
    expect(handled?.body.urgent).toBe(false);
    expect(handled).toEqual({
      body: { to: 'ada', urgent: false },
      id: messageId,
      attempt: 1,
      outcome: 'acked',
      error: undefined,
    });
    expect(broker.deadLettered(emails)).toEqual([]);
  });

  it('retries after ten minutes in no time, and not before', async () => {
    await using broker = await TestBroker.start();
    const error = new Error('the mail server is down');
    broker.consumer(emails, (message) => {
      if (message.attempt === 1) throw error;
    });
    await broker.producer(emails).send({ to: 'ada' });
    await broker.advance('9m');
    expect(broker.handled(emails)).toMatchObject([{ outcome: 'retried', attempt: 1, error }]);
    await broker.advance('1m');
    expect(broker.handled(emails)).toMatchObject([{ outcome: 'retried' }, { outcome: 'acked', attempt: 2 }]);
    expect(broker.sent(emails)).toHaveLength(1);
  });

  it('dead-letters when the attempts are used up', async () => {
    await using broker = await TestBroker.start();
    broker.consumer(emails, async () => {
      throw new Error('never');
    });
    const { messageId } = await broker.producer(emails).send({ to: 'ada' });
    await broker.advance('2h');
    expect(broker.handled(emails).map(({ outcome }) => outcome)).toEqual([
      'retried',
      'retried',
      'dead-lettered',
    ]);
    expect(broker.deadLettered(emails)).toEqual([
      { body: { to: 'ada' }, id: messageId, error: { code: 'Error', message: 'never' }, attempt: 3 },
    ]);
    await expect(broker.stats('emails.dead')).resolves.toMatchObject({ messages: 1 });
  });

  it('shows what the server dead-letters', async () => {
    await using broker = await TestBroker.start();
    const brief = queue('brief', z.string(), { messageTtlMs: 60_000 });
    await broker.producer(brief).send('too late');
    await broker.advance('59s');
    expect(broker.deadLettered(brief)).toEqual([]);
    await broker.advance('1s');
    expect(broker.deadLettered(brief)).toMatchObject([{ body: 'too late', error: { code: 'expired' } }]);
  });

  it('shows dead letters, and does not take a replay of them for a send', async () => {
    await using broker = await TestBroker.start();
    const once = queue('once', z.object({ to: z.string() }), { retry: false });
    let isMended = false;
    broker.consumer(once, () => {
      if (!isMended) throw new Error('not yet');
    });
    const { messageId } = await broker.producer(once).send({ to: 'ada' });
    await broker.settled();
    const letters = broker.deadLetters(once);
    expect(await letters.list()).toMatchObject([
      {
        id: messageId,
        body: { to: 'ada' },
        error: { code: 'Error', message: 'not yet' },
        failedAt: broker.now,
      },
    ]);
    isMended = true;
    expect(await letters.replay()).toEqual({ replayed: 1, invalid: 0, skipped: 0 });
    await broker.settled();
    expect(broker.sent(once)).toHaveLength(1);
    expect(broker.deadLettered(once)).toHaveLength(1);
    expect(broker.handled(once)).toMatchObject([
      { attempt: 1, outcome: 'dead-lettered' },
      { attempt: 1, outcome: 'acked' },
    ]);
  });

  it('says of what the server dead-letters the same as the list of dead letters', async () => {
    await using broker = await TestBroker.start();
    const brief = queue('brief', z.number(), { messageTtlMs: 1_000 });
    const short = queue('short', z.number(), { maxLength: 1, overflow: 'drop-head' });
    for (const contract of [brief, short]) await broker.producer(contract).sendAll([1, 2]);
    await broker.advance('1s');
    for (const contract of [brief, short]) {
      const listed = await broker.deadLetters(contract).list();
      expect(listed.length).toBeGreaterThan(0);
      expect(broker.deadLettered(contract).map(({ error }) => error)).toEqual(
        listed.map(({ error }) => error),
      );
    }
  });

  it('lets a replay wait for the end of an alarm, and loses nothing when it is closed before', async () => {
    await using broker = await TestBroker.start();
    const once = queue('once', z.object({ n: z.number() }), { retry: false });
    const consumer = broker.consumer(once, () => {
      throw new Error('not yet');
    });
    await broker.producer(once).sendAll([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await broker.settled();
    await consumer.close();
    const letters = broker.deadLetters(once);
    await broker.block();
    const first = letters.replay({ limit: 1 });
    await broker.advance('10s');
    expect(await broker.stats(once)).toMatchObject({ messages: 0 });
    await broker.unblock();
    expect(await first).toMatchObject({ replayed: 1 });

    await broker.block();
    const second = letters.replay();
    second.catch(() => undefined);
    await broker.advance('1s');
    expect((await letters.list()).length).toBe(0);
    expect(await broker.close()).toEqual({ clean: false });
    await expect(second).rejects.toMatchObject({ code: 'CLOSED' });
  });

  it('replays at a rate in virtual time, and longer than the server would wait for an answer', async () => {
    await using broker = await TestBroker.start();
    const { looked, replaying } = await replayOddOnes(broker, 12);
    // One after the other, 100 seconds apart: 8 minutes and more, of which the letters that stay are kept out of the queue.
    await broker.advance('499s');
    expect(await broker.stats(slow)).toMatchObject({ messages: 5 });
    await broker.advance('1s');
    expect(await replaying).toEqual({ replayed: 6, invalid: 0, skipped: 6 });
    expect(looked).toEqual(Array.from({ length: 12 }, (_, n) => n));
    expect((await broker.deadLetters(slow).list()).map(({ body }) => body.n)).toEqual([0, 2, 4, 6, 8, 10]);
  });

  it('gives letters that stay back in between a replay of hours, and looks at none of them twice', async () => {
    await using broker = await TestBroker.start();
    const { looked, replaying } = await replayOddOnes(broker, 60);
    await broker.advance('1h');
    expect(await replaying).toEqual({ replayed: 30, invalid: 0, skipped: 30 });
    expect(looked).toEqual(Array.from({ length: 60 }, (_, n) => n));
    expect((await broker.deadLetters(slow).list()).map(({ body }) => body.n)).toEqual(
      Array.from({ length: 30 }, (_, n) => 2 * n),
    );
  });

  it('shows what was sent to an exchange', async () => {
    await using broker = await TestBroker.start();
    const orders = exchange('orders', z.object({ id: z.number() }));
    await broker.declare(orders.queue('billing', 'eu.*'));
    await broker.producer(orders).send({ id: 1 }, { routingKey: 'eu.de' });
    expect(broker.sent(orders)).toMatchObject([{ body: { id: 1 }, routingKey: 'eu.de' }]);
    await expect(broker.stats('billing')).resolves.toMatchObject({ messages: 1 });
  });

  it('waits for handlers that do something real', async () => {
    await using broker = await TestBroker.start();
    broker.consumer(emails, () => new Promise((resolve) => setTimeout(resolve, 120)));
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    expect(broker.handled(emails)).toHaveLength(1);
  });

  it('fires the deadline of a handler that never ends, and closes all the same', async () => {
    await using broker = await TestBroker.start();
    broker.consumer(emails, () => new Promise(() => {}), { handlerTimeoutMs: 5_000 });
    await broker.producer(emails).send({ to: 'ada' });
    await broker.advance('4s');
    expect(broker.handled(emails)).toEqual([]);
    await broker.advance('2s');
    const [{ error } = { error: undefined }] = broker.handled(emails);
    expect(isLeveretError(error) && error.code).toBe('TIMEOUT');
  });

  it('closes after a second of real time, or as it is told', async () => {
    const close = async (options?: { timeoutMs: number }) => {
      const broker = await TestBroker.start();
      const begun = deferred<void>();
      broker.consumer(emails, () => {
        begun.resolve();
        return new Promise((resolve) => realTimers.setTimeout(resolve, 1_500));
      });
      await broker.producer(emails).send({ to: 'ada' });
      await begun.promise;
      return broker.close(options);
    };
    expect(await Promise.all([close(), close({ timeoutMs: 10_000 })])).toEqual([
      { clean: false },
      { clean: true },
    ]);
  });

  it('refuses options that make no sense', async () => {
    for (const [option, options] of [
      ['as', { as: '5' }],
      ['startAt', { startAt: new Date(Number.NaN) }],
      ['startAt', { startAt: 0 }],
      ['as', { as: null }],
      ['TestBroker', null],
    ] as const) {
      await expect(TestBroker.start(options as never)).rejects.toMatchObject({
        code: 'INVALID_OPTION',
        option,
        message: expect.stringMatching(/^TestBroker: /),
      });
    }
  });

  it('refuses a duration that it does not understand', async () => {
    await using broker = await TestBroker.start();
    // @ts-expect-error: not a duration
    await expect(broker.advance('ten minutes')).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('has a clock of its own', async () => {
    await using broker = await TestBroker.start({ startAt: new Date('2030-01-01T00:00:00Z') });
    await broker.advance('1d');
    expect(broker.now.toISOString()).toBe('2030-01-02T00:00:00.000Z');
  });

  it('leaves other brokers alone', async () => {
    await using one = await TestBroker.start();
    await using two = await TestBroker.start();
    await one.producer(emails).send({ to: 'ada' });
    expect(two.sent(emails)).toEqual([]);
  });
});

describe('requests on a test broker', () => {
  const double = procedure('double', { request: z.number(), response: z.number() });

  it('are shown with what became of them', async () => {
    await using broker = await TestBroker.start();
    broker.responder(double, ({ body }) => {
      if (body === 0) throw new Error('zero');
      return 2 * body;
    });
    await broker.settled();
    expect(await broker.request(double, 1)).toBe(2);
    await expect(broker.request(double, 0)).rejects.toMatchObject({
      code: 'REMOTE',
      message: "The responder of the procedure 'double' failed: zero",
    });
    await broker.settled();
    expect(broker.sent(double)).toMatchObject([{ body: 1 }, { body: 0 }]);
    expect(broker.handled(double)).toMatchObject([
      { body: 1, outcome: 'acked', attempt: 1, error: undefined },
      { body: 0, outcome: 'failed', error: { message: 'zero' } },
    ]);
  });

  it('time out in virtual time', async () => {
    await using broker = await TestBroker.start();
    await broker.declare(double);
    const asked = expect(broker.request(double, 1, { timeoutMs: 600_000 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: expect.stringContaining('no responder is running'),
    });
    await broker.advance('9m');
    await expect(broker.stats(double)).resolves.toMatchObject({ messages: 1 });
    await broker.advance('2m');
    await asked;
    await expect(broker.stats(double)).resolves.toMatchObject({ messages: 0 });
  });

  it('are answered however large the answers are, without that time goes by', async () => {
    await using broker = await TestBroker.start();
    const large = procedure('large', { request: z.number(), response: z.string() });
    const responder = broker.responder(large, () => 'x'.repeat(1_000_000));
    await responder.ready;
    for (let n = 0; n < 40; n++) expect(await broker.request(large, n)).toHaveLength(1_000_000);
    expect(await responder.close()).toEqual({ clean: true });
  });

  it('are answered by another life of a responder that crashed', async () => {
    await using broker = await TestBroker.start();
    const first = gate();
    broker.responder(double, async ({ body, attempt }) => {
      if (attempt === 1) await first.opened;
      return body + attempt;
    });
    await broker.settled();
    const asked = broker.request(double, 10);
    await broker.advance(0);
    await broker.crashConsumer();
    first.open();
    await broker.advance('1s');
    expect(await asked).toBe(12);
  });
});

describe('faults on demand', () => {
  it('lose the connections: sends wait, and arrive once they are back', async () => {
    await using broker = await TestBroker.start();
    const events = recordEvents(broker);
    const consumer = broker.consumer(emails, () => undefined);
    await consumer.ready;
    await broker.disconnect({ for: '5m' });
    expect(broker.state.status).toBe('reconnecting');
    const sent = broker.producer(emails).send({ to: 'ada' }, { timeoutMs: Number.POSITIVE_INFINITY });
    await broker.advance('4m');
    expect(broker.handled(emails)).toEqual([]);
    await broker.advance('2m');
    await sent;
    expect(broker.handled(emails)).toHaveLength(1);
    expect(broker.sent(emails)).toHaveLength(1);
    expect(events.names).toContain('consumer-recovered');
  });

  it('block publishing, and nothing else', async () => {
    await using broker = await TestBroker.start();
    const producer = broker.producer(emails);
    await producer.send({ to: 'ada' });
    await broker.block('low on memory');
    expect(broker.state).toMatchObject({ status: 'blocked' });
    broker.consumer(emails, () => undefined);
    const sent = producer.send({ to: 'bob' });
    await broker.settled();
    expect(broker.handled(emails)).toMatchObject([{ body: { to: 'ada' }, outcome: 'acked' }]);
    await broker.unblock();
    await sent;
    await broker.settled();
    expect(broker.handled(emails)).toHaveLength(2);
  });

  it('time a send out that an alarm holds up', async () => {
    await using broker = await TestBroker.start();
    const producer = broker.producer(emails);
    await producer.send({ to: 'ada' });
    await broker.block();
    const sent = expect(producer.send({ to: 'bob' })).rejects.toMatchObject({
      code: 'TIMEOUT',
      maybeDelivered: false,
    });
    await broker.advance('31s');
    await sent;
  });

  it('hold up a producer that is made meanwhile, for as long as it takes, and nothing else', async () => {
    await using broker = await TestBroker.start();
    const events = recordEvents(broker);
    await broker.producer(emails).send({ to: 'ada' });
    await broker.block();
    const producer = broker.producer(queue('others', z.any()));
    const sent = producer.send('hello', { timeoutMs: 60 * 60_000 });
    const late = expect(producer.send('hello')).rejects.toMatchObject({
      code: 'TIMEOUT',
      maybeDelivered: false,
    });
    await broker.advance('10m');
    await late;
    expect(producer.pending).toBe(1);
    await broker.unblock();
    await sent;
    expect(events.names).toEqual(['blocked', 'unblocked']);
  });

  it('do not hold up a producer that is closed', async () => {
    await using broker = await TestBroker.start();
    const producer = broker.producer(emails);
    await producer.send({ to: 'ada' });
    await broker.block();
    await producer.close();
    expect(producer.pending).toBe(0);
  });

  it('cancel consumers, which come back', async () => {
    await using broker = await TestBroker.start();
    const consumer = broker.consumer(emails, () => undefined);
    await consumer.ready;
    await broker.cancelConsumers(emails);
    expect(consumer.state.status).toBe('recovering');
    await broker.producer(emails).send({ to: 'ada' });
    await broker.advance('1s');
    expect(broker.handled(emails)).toHaveLength(1);
  });

  it('crash a consumer in the middle of its work: its message runs again', async () => {
    await using broker = await TestBroker.start();
    const first = gate();
    const attempts: number[] = [];
    broker.consumer(emails, async ({ attempt }) => {
      attempts.push(attempt);
      if (attempt === 1) await first.opened;
    });
    await broker.producer(emails).send({ to: 'ada' });
    await broker.advance(0);
    await broker.crashConsumer();
    first.open();
    await broker.advance('1s');
    expect(attempts).toEqual([1, 2]);
    expect(broker.handled(emails)).toMatchObject([{ outcome: 'acked', attempt: 2 }]);
  });
});
