import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { procedure } from '../../../../src/contracts/procedure.js';
import { ClosedError, ConnectionError } from '../../../../src/errors.js';
import type { RequestOptions } from '../../../../src/rpc/requester/request-options.js';
import { Requester } from '../../../../src/rpc/requester/requester.js';
import { type MessageProperties, TransportError } from '../../../../src/transport/port.js';
import { delivery } from '../../support/deliveries.js';
import { FakeClock, turn } from '../../support/fake-clock.js';
import { FakeConnection } from '../../support/fake-connection.js';
import { type Tracked, track } from '../../support/track.js';

const double = procedure('double', { request: z.number(), response: z.number() });

/** A requester between the test, which asks, and the test, which answers. */
class Bench {
  readonly clock = new FakeClock();
  readonly connection = new FakeConnection();
  readonly requester: Requester;

  constructor({ confirms = false } = {}) {
    const { clock } = this;
    const connection = this.connection.asConnection;
    this.requester = new Requester({ connection, clock, maxBodyBytes: 1_000, confirms });
  }

  static async open(options?: { confirms: boolean }): Promise<Bench> {
    const bench = new Bench(options);
    bench.connection.open();
    return bench;
  }

  get link() {
    const link = this.connection.links.at(-1);
    if (!link) throw new Error('the connection was never open');
    return link;
  }

  /** The requests that were published on the channel that was opened last. */
  get published() {
    return this.link.channel.published;
  }

  /** Asks, and lets it out. */
  async ask(body: number, options?: RequestOptions): Promise<Tracked<unknown>> {
    const asked = track(this.requester.request(double, body, options));
    await turn();
    return asked;
  }

  async reply(at: number, content: unknown, properties: MessageProperties = {}): Promise<void> {
    const correlationId = this.published[at]?.properties.correlationId;
    const bytes = Buffer.from(JSON.stringify(content));
    this.link.channel.deliver(delivery({ content: bytes, properties: { correlationId, ...properties } }));
    await turn();
  }
}

const codeOf = ({ state, error }: Tracked<unknown>) =>
  state === 'rejected' ? (error as { code?: string }).code : state;

describe('a requester', () => {
  it('opens one channel for all requests, and consumes the replies on it before it publishes', async () => {
    const bench = await Bench.open();
    await Promise.all([bench.ask(1), bench.ask(2)]);
    await bench.ask(3);
    expect(bench.link.requests).toEqual(['open channel', 'consume amq.rabbitmq.reply-to']);
    expect(bench.link.channel.consumeOptions).toMatchObject({ noAck: true });
    expect(bench.published.map(({ content }) => content.toString())).toEqual(['1', '2', '3']);
    expect(bench.published[0]).toMatchObject({
      exchange: '',
      routingKey: 'double',
      mandatory: true,
      properties: { replyTo: 'amq.rabbitmq.reply-to', contentType: 'application/json', expiration: '30000' },
    });
  });

  it('gives each request its own answer, whatever the order', async () => {
    const bench = await Bench.open();
    const [one, two] = [await bench.ask(1), await bench.ask(2)];
    await bench.reply(1, 4);
    expect({ one: one.state, two: two.value }).toEqual({ one: 'pending', two: 4 });
    await bench.reply(0, 2);
    expect(one.value).toBe(2);
    expect(bench.clock.armed).toBe(0);
  });

  it('ignores answers that are no longer awaited, and the second one to a request', async () => {
    const bench = await Bench.open();
    const asked = await bench.ask(1);
    await bench.reply(0, 9, { correlationId: 'another' });
    await bench.reply(0, 9, { correlationId: undefined });
    await bench.reply(0, 2);
    await bench.reply(0, 3);
    expect(asked).toMatchObject({ state: 'resolved', value: 2 });
  });

  it('tells of an error with its code and message', async () => {
    const bench = await Bench.open();
    const asked = await bench.ask(1);
    await bench.reply(0, {}, { headers: { 'leveret-error': 'SOLD_OUT: no more: sorry' } });
    expect(asked.error).toMatchObject({
      code: 'REMOTE',
      remoteCode: 'SOLD_OUT',
      message: expect.stringContaining('failed: no more: sorry'),
    });
  });

  it('refuses an answer that does not fit, or is too large', async () => {
    const bench = await Bench.open();
    const [wrong, large] = [await bench.ask(1), await bench.ask(2)];
    await bench.reply(0, 'two');
    await bench.reply(1, 'x'.repeat(1_000));
    for (const { error } of [wrong, large])
      expect(error).toMatchObject({ code: 'REMOTE', remoteCode: 'INVALID_BODY' });
  });

  it('finds the request that came back as unroutable, also under a correlation id of the caller', async () => {
    const bench = await Bench.open();
    const [mine, other] = [await bench.ask(1, { correlationId: 'mine' }), await bench.ask(2)];
    bench.link.channel.giveBack(bench.published[0]);
    await turn();
    expect({ mine: codeOf(mine), other: codeOf(other) }).toEqual({ mine: 'UNROUTABLE', other: 'pending' });
  });

  it('with confirms finds what the queue refused, and no other', async () => {
    const bench = await Bench.open({ confirms: true });
    const asked = await Promise.all([1, 2, 3, 4].map((n) => bench.ask(n)));
    bench.link.channel.confirm(2);
    bench.link.channel.refuse(3, { multiple: true });
    await turn();
    expect(asked.map(codeOf)).toEqual(['REJECTED', 'pending', 'REJECTED', 'pending']);
  });

  it('is done with a request at its deadline, and not before', async () => {
    const bench = await Bench.open();
    const [short, long] = [await bench.ask(1, { timeoutMs: 500 }), await bench.ask(2)];
    await bench.clock.pass(499);
    expect(codeOf(short)).toBe('pending');
    await bench.clock.pass(30);
    expect(short.error).toMatchObject({ code: 'TIMEOUT', maybeDelivered: true });
    expect((short.error as Error).message).toContain('no responder is running');
    await bench.clock.pass(29_000);
    expect(codeOf(long)).toBe('pending');
    await bench.clock.pass(1_000);
    expect(codeOf(long)).toBe('TIMEOUT');
  });

  it('lets the request expire with what is left of its time', async () => {
    const bench = new Bench();
    await bench.ask(1, { timeoutMs: 5_000 });
    await bench.clock.pass(2_000);
    bench.connection.open();
    await turn();
    await turn();
    expect(bench.published[0]?.properties.expiration).toBe('3000');
  });

  it('times out without a connection, surely not sent', async () => {
    const bench = new Bench();
    const asked = await bench.ask(1, { timeoutMs: 500 });
    await bench.clock.pass(600);
    expect(asked.error).toMatchObject({ code: 'TIMEOUT', maybeDelivered: false });
  });

  it('rejects what was sent when the connection is lost, and sends what is asked then on the next one', async () => {
    const bench = await Bench.open();
    const lost = await bench.ask(1);
    bench.connection.lose();
    await turn();
    expect(lost.error).toBeInstanceOf(ConnectionError);
    expect(lost.error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true, maybeDelivered: true });
    const next = await bench.ask(2);
    bench.connection.open();
    await turn();
    await turn();
    await bench.reply(0, 4);
    expect(next.value).toBe(4);
  });

  it('opens another channel when only that is closed, after a while', async () => {
    const bench = await Bench.open();
    const lost = await bench.ask(1);
    bench.link.channel.die(new TransportError('an internal error', { replyCode: 541 }));
    await turn();
    expect(codeOf(lost)).toBe('CONNECTION_FAILED');
    const next = await bench.ask(2);
    await bench.clock.pass(5_000);
    await bench.reply(0, 4);
    expect(next.value).toBe(4);
  });

  it('waits while an alarm stops publishing', async () => {
    const bench = await Bench.open();
    await bench.ask(1);
    bench.link.block('low on memory');
    const blocked = await bench.ask(2, { timeoutMs: 500 });
    await bench.ask(3);
    expect(bench.published).toHaveLength(1);
    await bench.clock.pass(600);
    expect((blocked.error as Error).message).toContain('low on memory');
    bench.link.block(undefined);
    bench.requester.flush();
    expect(bench.published.map(({ content }) => content.toString())).toEqual(['1', '3']);
  });

  it('rejects everything with the error of a start that is given up', async () => {
    const bench = new Bench();
    const asked = await bench.ask(1);
    const error = new ConnectionError('ACCESS_REFUSED', 'wrong password');
    bench.connection.fail(error);
    await turn();
    expect(asked.error).toBe(error);
  });

  it('bounds how many wait', async () => {
    const bench = new Bench();
    const asked = Array.from({ length: 10_001 }, (_, n) => track(bench.requester.request(double, n)));
    await turn();
    expect(codeOf(asked[9_999] as Tracked<unknown>)).toBe('pending');
    expect(codeOf(asked[10_000] as Tracked<unknown>)).toBe('BUFFER_FULL');
    bench.requester.abort();
  });

  it('closes when every answer has come, and takes no more', async () => {
    const bench = await Bench.open();
    const asked = await bench.ask(1);
    const closed = track(bench.requester.close());
    const late = await bench.ask(2);
    expect({ late: codeOf(late), closed: closed.state }).toEqual({ late: 'CLOSED', closed: 'pending' });
    await bench.reply(0, 2);
    expect({ asked: asked.value, closed: closed.state }).toEqual({ asked: 2, closed: 'resolved' });
    expect(bench.link.requests.at(-1)).toBe('close channel');
  });

  it('aborted, rejects what is left: with what is known of it, and no timer stays', async () => {
    const bench = await Bench.open();
    const sent = await bench.ask(1);
    bench.link.block('low on disk');
    const waiting = await bench.ask(2);
    bench.requester.abort();
    await turn();
    for (const { error } of [sent, waiting]) expect(error).toBeInstanceOf(ClosedError);
    expect(sent.error).toMatchObject({ maybeDelivered: true });
    expect(waiting.error).toMatchObject({ maybeDelivered: false });
    expect(bench.clock.armed).toBe(0);
  });
});
