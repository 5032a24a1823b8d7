import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../../src/contracts/exchange.js';
import { ClosedError, ConnectionError, MessageTooLargeError, TopologyError } from '../../../../src/errors.js';
import { TransportError } from '../../../../src/transport/port.js';
import { turn } from '../../support/fake-clock.js';
import { bounded, PublisherBench, states } from '../../support/publisher.js';

function closed(replyCode: number | undefined, message: string): TransportError {
  return new TransportError(`Channel closed by server: ${replyCode} with message "${message}"`, {
    replyCode,
  });
}

const MISSING = closed(404, "NOT_FOUND - no exchange 'orders' in vhost '/'");

describe('when the connection is lost, an publisher', () => {
  it('sends again what was not confirmed, with the same id and in order, before what came later', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 3 });
    await bench.sendAll('a', 'b', 'c', 'd');
    bench.channel.confirm(2);
    bench.connection.lose();
    bench.send('e');
    bench.connection.open();
    await turn();

    expect(bench.channel.ids).toEqual(['a', 'c', 'd']);
    bench.channel.confirm(3, { multiple: true });
    expect(bench.channel.ids).toEqual(['a', 'c', 'd', 'e']);
  });

  it('sends nothing again that is settled', async () => {
    const bench = PublisherBench.connected({ contract: bounded });
    const controller = new AbortController();
    const aborted = bench.send('aborted', { signal: controller.signal });
    const sends = await bench.sendAll('confirmed', 'refused', 'open');
    bench.channel.confirm(2);
    bench.channel.refuse(3);
    controller.abort('enough');
    bench.connection.lose();
    bench.connection.open();
    await turn();

    expect(bench.channel.ids).toEqual(['open']);
    expect(states({ aborted, ...sends })).toEqual({
      aborted: 'enough',
      confirmed: 'resolved',
      refused: 'REJECTED',
      open: 'pending',
    });
  });

  it('takes the confirms of the next channel for what was sent on that', async () => {
    const bench = PublisherBench.connected();
    const sends = await bench.sendAll('a', 'b');
    const old = bench.channel;
    bench.connection.lose();
    bench.connection.open();
    await turn();
    old.confirm(2, { multiple: true });
    await turn();
    const fromTheOld = states(sends);
    bench.channel.confirm(1);
    await turn();

    expect(fromTheOld).toEqual({ a: 'pending', b: 'pending' });
    expect(states(sends)).toEqual({ a: 'resolved', b: 'pending' });
  });

  it('goes through any number of losses', async () => {
    const bench = PublisherBench.connected();
    const sends = await bench.sendAll('a', 'b');
    for (let loss = 0; loss < 20; loss++) {
      bench.connection.lose();
      bench.connection.open();
      await turn();
      expect(bench.channel.ids).toEqual(['a', 'b']);
    }
    bench.channel.confirm(2, { multiple: true });
    await turn();

    expect(states(sends)).toEqual({ a: 'resolved', b: 'resolved' });
  });

  it('declares its contract on each new connection', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');
    bench.connection.lose();
    bench.connection.open();
    await turn();

    expect(bench.link.requests).toContain('declare queue emails');
  });

  it('opens no channel on the next one when nothing waits', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');
    bench.channel.confirm(1);
    bench.connection.lose();
    bench.connection.open();
    await turn();

    expect(bench.link.requests).toEqual([]);
  });

  it('keeps in the buffer what a dying channel refuses to publish', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');
    bench.channel.onPublish = () => {
      bench.channel.isOpen = false;
      throw new TransportError('the channel is closed');
    };
    const { b } = await bench.sendAll('b');

    expect({ state: b?.state, pending: bench.publisher.pending }).toEqual({ state: 'pending', pending: 2 });
  });
});

describe('when the server closes the channel, an publisher', () => {
  it('opens another one after a delay, which grows', async () => {
    const bench = PublisherBench.connected();
    bench.clock.chance = 0.999;
    bench.send('a', { timeoutMs: Number.POSITIVE_INFINITY });
    await turn();
    const delays: (number | undefined)[] = [];
    for (let closing = 0; closing < 8; closing++) {
      bench.channel.die(closed(541, 'INTERNAL_ERROR'));
      await turn();
      delays.push(Math.round((bench.clock.nextInMs ?? 0) / 100) * 100);
      await bench.clock.pass(5_000);
    }

    expect(delays).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    expect(bench.channel.ids).toEqual(['a']);
  });

  it('sends again after a missing exchange was declared again, since the sends are unknown', async () => {
    const bench = PublisherBench.connected({ contract: exchange('orders', z.any()) });
    const sends = await bench.sendAll('a', 'b');
    bench.channel.die(MISSING);
    await bench.clock.pass(1_000);
    bench.channel.confirm(2, { multiple: true });
    await turn();

    expect(bench.link.requests.filter((it) => it.startsWith('declare'))).toEqual([
      'declare exchange orders',
      'declare exchange orders',
    ]);
    expect(states(sends)).toEqual({ a: 'resolved', b: 'resolved' });
  });

  it('fails the sends when the exchange is missing twice in a row', async () => {
    const bench = PublisherBench.connected({ contract: exchange('orders', z.any(), { declare: false }) });
    const sends = await bench.sendAll('a', 'b');
    bench.channel.die(MISSING);
    await bench.clock.pass(1_000);
    const afterOne = states(sends);
    bench.channel.die(MISSING);
    await turn();

    expect(afterOne).toEqual({ a: 'pending', b: 'pending' });
    expect(states(sends)).toEqual({ a: 'NOT_FOUND', b: 'NOT_FOUND' });
    expect(sends.a?.error).toBeInstanceOf(TopologyError);
  });

  it('counts the missing exchange from the start once something was confirmed', async () => {
    const bench = PublisherBench.connected({ contract: exchange('orders', z.any()) });
    await bench.sendAll('a');
    bench.channel.die(MISSING);
    await bench.clock.pass(1_000);
    bench.channel.confirm(1);
    const { b } = await bench.sendAll('b');
    bench.channel.die(MISSING);
    await turn();

    expect(b?.state).toBe('pending');
  });

  it('fails the sends that have no right', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    bench.channel.die(closed(403, "ACCESS_REFUSED - write access to exchange 'x' refused"));
    await turn();

    expect(a?.error).toBeInstanceOf(TopologyError);
    expect(a?.error).toMatchObject({
      code: 'ACCESS_REFUSED',
      message: "the queue 'emails': ACCESS_REFUSED - write access to exchange 'x' refused",
    });
  });

  it('fails the message that was too large for the server, and sends the others again', async () => {
    const bench = PublisherBench.connected();
    const sends = { small: bench.send('small'), large: bench.send('large', { bodyBytes: 2_000 }) };
    await turn();
    bench.channel.die(
      closed(406, 'PRECONDITION_FAILED - message size 2000 is larger than configured max size 1000'),
    );
    await bench.clock.pass(1_000);

    expect(states(sends)).toEqual({ small: 'pending', large: 'MESSAGE_TOO_LARGE' });
    expect(sends.large.error).toBeInstanceOf(MessageTooLargeError);
    expect(sends.large.error).toMatchObject({ sizeBytes: 2_000, limitBytes: 1_000 });
    expect(bench.channel.ids).toEqual(['small']);
  });

  it('sends again after any other precondition that failed', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    bench.channel.die(closed(406, 'PRECONDITION_FAILED - something else'));
    await bench.clock.pass(1_000);

    expect({ state: a?.state, ids: bench.channel.ids }).toEqual({ state: 'pending', ids: ['a'] });
  });
});

describe('when it cannot open its channel, an publisher', () => {
  it('fails what waits when the declaration is refused, and asks again for the next send', async () => {
    const bench = PublisherBench.connected();
    const words =
      "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'emails' in vhost '/': received 'true' but current is 'false'";
    bench.link.onRequest = (request) => {
      if (request.startsWith('declare')) throw closed(406, words);
    };
    const sends = await bench.sendAll('a', 'b');
    bench.link.onRequest = () => undefined;
    const { c } = await bench.sendAll('c');

    expect(states(sends)).toEqual({ a: 'MISMATCH', b: 'MISMATCH' });
    expect(sends.a?.error).toMatchObject({ argument: 'durable', declared: "'true'", existing: "'false'" });
    expect({ state: c?.state, ids: bench.channel.ids }).toEqual({ state: 'pending', ids: ['c'] });
  });

  it('tries again after a delay when that may help', async () => {
    const bench = PublisherBench.connected();
    let attempts = 0;
    bench.link.onRequest = (request) => {
      if (request.startsWith('declare') && attempts++ < 3) throw new TransportError('no answer');
    };
    const { a } = await bench.sendAll('a');
    await bench.clock.pass(10_000);
    bench.channel.confirm(1);
    await turn();

    expect({ attempts, state: a?.state }).toEqual({ attempts: 4, state: 'resolved' });
  });

  it.each([
    ['is given up', new ConnectionError('ACCESS_REFUSED', 'wrong password')],
    ['is closed', new ClosedError('The broker is closed')],
  ])('fails what waits when the connection %s: surely not delivered', async (_, cause) => {
    const bench = new PublisherBench();
    const { a } = await bench.sendAll('a');
    bench.connection.fail(cause);
    await turn();

    expect(a?.error).toBeInstanceOf(ClosedError);
    expect(a?.error).toMatchObject({ maybeDelivered: false, cause });
    expect((a?.error as Error | undefined)?.message).toContain(cause.message);
  });

  it('says that something may be delivered when it was sent before', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    bench.connection.lose();
    await turn();
    bench.connection.fail(new ClosedError('The broker is closed'));
    await turn();

    expect(a?.error).toMatchObject({ code: 'CLOSED', maybeDelivered: true });
  });
});
