import { beforeEach, describe, expect, it } from 'vitest';
import type { Schema, SchemaResult } from '../../../src/contracts/body/schema.js';
import { queue } from '../../../src/contracts/queue.js';
import { TimeoutError, ValidationError } from '../../../src/errors.js';
import type { QueueProducer } from '../../../src/producer/producer.js';
import { Producers } from '../../../src/producer/producers.js';
import { FakeClock, turn } from '../support/fake-clock.js';
import { FakeConnection } from '../support/fake-connection.js';
import { track } from '../support/track.js';

let clock: FakeClock;
let connection: FakeConnection;
let producer: QueueProducer;
let producers: Producers;
let answers: ((result: SchemaResult<unknown>) => void)[];

/** A schema that answers when the test says so. */
const slow: Schema<unknown, unknown> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: () => new Promise<SchemaResult<unknown>>((resolve) => answers.push(resolve)),
  },
};

beforeEach(() => {
  answers = [];
  clock = new FakeClock();
  connection = new FakeConnection();
  connection.open();
  const contract = queue('emails', slow, { deadLetter: false });
  producers = new Producers({
    connection: connection.asConnection,
    clock,
    maxBodyBytes: 100,
    setUpOn: () => undefined,
    isClosing: () => false,
    onRestored: async () => {},
  });
  producer = producers.producer(contract, { timeoutMs: 1_000 });
});

const answer = (index: number, result: SchemaResult<unknown> = { value: 1 }) => answers[index]?.(result);

describe('a send whose schema is asynchronous', () => {
  it('is sent when the schema has agreed, and counts from the start', async () => {
    const sending = track(producer.send({ a: 1 }));
    await turn();
    const during = { pending: producer.pending, requests: connection.links[0]?.requests.length };
    answer(0);
    await turn();
    connection.links[0]?.publisher.confirm(1);
    await turn();

    expect(during).toEqual({ pending: 1, requests: 0 });
    expect({ state: sending.state, pending: producer.pending }).toEqual({ state: 'resolved', pending: 0 });
  });

  it('is not sent when the schema refuses it', async () => {
    const sending = track(producer.send({ a: 1 }));
    answer(0, { issues: [{ message: 'unknown customer' }] });
    await turn();

    expect(sending.error).toBeInstanceOf(ValidationError);
    expect({ pending: producer.pending, requests: connection.links[0]?.requests }).toEqual({
      pending: 0,
      requests: [],
    });
  });

  it('has one limit for the schema and for the server', async () => {
    const sending = track(producer.send({ a: 1 }));
    await clock.pass(700);
    answer(0);
    await clock.pass(250);
    const before = sending.state;
    await clock.pass(100);

    expect(before).toBe('pending');
    expect(sending.error).toMatchObject({ code: 'TIMEOUT', maybeDelivered: true });
  });

  it('is given up when the schema does not answer: surely not sent', async () => {
    const sending = track(producer.send({ a: 1 }));
    await clock.pass(1_050);
    answer(0);
    await turn();

    expect(sending.error).toBeInstanceOf(TimeoutError);
    expect(sending.error).toMatchObject({
      maybeDelivered: false,
      message: "The schema of the queue 'emails' did not finish within 1000 ms",
    });
    expect({ pending: producer.pending, requests: connection.links[0]?.requests }).toEqual({
      pending: 0,
      requests: [],
    });
  });

  it('is given up when its signal aborts', async () => {
    const controller = new AbortController();
    const sending = track(producer.send({ a: 1 }, { signal: controller.signal }));
    controller.abort('enough');
    await turn();
    answer(0);
    await turn();

    expect(sending.error).toBe('enough');
    expect(connection.links[0]?.requests).toEqual([]);
  });

  it('is waited for when the producer is closed', async () => {
    const sending = track(producer.send({ a: 1 }));
    const closing = track(producer.close());
    await turn();
    answer(0);
    await turn();
    const during = closing.state;
    connection.links[0]?.publisher.confirm(1);
    await turn();

    expect({ during, closing: closing.state, sending: sending.state }).toEqual({
      during: 'pending',
      closing: 'resolved',
      sending: 'resolved',
    });
  });

  it('is settled when the deadline of the close has come, and leaves no timer', async () => {
    const sending = track(producer.send({ a: 1 }));
    const closing = track(producer.close());
    producers.abort();
    await turn();

    expect(sending.error).toMatchObject({ code: 'CLOSED', maybeDelivered: false });
    expect({ state: closing.state, pending: producer.pending, armed: clock.armed }).toEqual({
      state: 'resolved',
      pending: 0,
      armed: 0,
    });
  });

  it('carries the body as it was at the call, whatever becomes of it', async () => {
    const body = { name: 'before' };
    void producer.send(body);
    body.name = 'after';
    answer(0);
    await turn();
    // What the schema saw may have been another body: it is asked about the one that is sent.
    const before = connection.links[0]?.channels.length;
    answer(1);
    await turn();

    expect(before).toBe(0);
    expect(connection.links[0]?.publisher.published.map(({ content }) => String(content))).toEqual([
      '{"name":"before"}',
    ]);
  });

  it('is refused by its schema, not for what it became', async () => {
    const body = { name: 'before' };
    const sending = track(producer.send(body));
    body.name = 'after';
    answer(0);
    await turn();
    answer(1, { issues: [{ message: 'no' }] });
    await turn();

    expect(sending.error).toBeInstanceOf(ValidationError);
  });

  it('keeps its place before those that follow', async () => {
    const sends = ['first', 'second', 'third'].map((name) => track(producer.send({ name })));
    answer(1);
    answer(2, { issues: [{ message: 'no' }] });
    await turn();
    const before = connection.links[0]?.channels.length;
    answer(0);
    await turn();

    expect({ before, error: sends[2]?.error }).toEqual({ before: 0, error: expect.any(ValidationError) });
    expect(connection.links[0]?.publisher.published.map(({ content }) => String(content))).toEqual([
      '{"name":"first"}',
      '{"name":"second"}',
    ]);
  });

  it('holds up no other send once it is given up', async () => {
    const first = track(producer.send({ name: 'first' }, { timeoutMs: 100 }));
    void producer.send({ name: 'second' });
    answer(1);
    await clock.pass(150);

    expect(first.error).toBeInstanceOf(TimeoutError);
    expect(connection.links[0]?.publisher.published.map(({ content }) => String(content))).toEqual([
      '{"name":"second"}',
    ]);
  });

  it('counts for the bound of what waits', async () => {
    const contract = queue('bounded', slow, { deadLetter: false });
    const bounded = producers.producer(contract, { maxBuffered: 2 });
    const sends = [1, 2, 3].map((a) => track(bounded.send({ a })));
    await turn();

    expect(sends.map(({ state }) => state)).toEqual(['pending', 'pending', 'rejected']);
    expect(sends[2]?.error).toMatchObject({ code: 'BUFFER_FULL' });
    expect(bounded.pending).toBe(2);
  });
});
