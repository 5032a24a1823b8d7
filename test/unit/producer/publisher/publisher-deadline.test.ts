import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { TimeoutError } from '../../../../src/errors.js';
import { TransportError } from '../../../../src/transport/port.js';
import { turn } from '../../support/fake-clock.js';
import { PublisherBench, states } from '../../support/publisher.js';

describe('the deadline of a send', () => {
  it('passes a little late, and never early', async () => {
    const bench = new PublisherBench();
    const a = bench.send('a', { timeoutMs: 1_000 });
    await bench.clock.pass(999);
    const before = a.state;
    await bench.clock.pass(25);

    expect({ before, state: a.state }).toEqual({ before: 'pending', state: 'rejected' });
  });

  it('says that nothing was delivered when nothing was sent', async () => {
    const bench = new PublisherBench();
    const a = bench.send('a', { timeoutMs: 1_000 });
    await bench.clock.pass(2_000);

    expect(a.error).toBeInstanceOf(TimeoutError);
    expect(a.error).toMatchObject({
      maybeDelivered: false,
      message: expect.stringMatching(/^The message for the queue 'emails' could not be sent within 1000 ms/),
    });
  });

  it('says that it may be delivered when it was sent and not confirmed', async () => {
    const bench = PublisherBench.connected();
    const a = bench.send('a', { timeoutMs: 1_000 });
    await bench.clock.pass(2_000);

    expect(a.error).toMatchObject({
      maybeDelivered: true,
      message: "The message for the queue 'emails' was not confirmed within 1000 ms",
    });
  });

  it('says that it may be delivered when it was sent before the connection was lost', async () => {
    const bench = PublisherBench.connected();
    const a = bench.send('a', { timeoutMs: 1_000 });
    await turn();
    bench.connection.lose(new Error('connection reset'));
    await bench.clock.pass(2_000);

    expect(a.error).toMatchObject({
      maybeDelivered: true,
      message: expect.stringContaining('(connection reset)'),
    });
  });

  it('says why no channel could be opened, as long as that is so', async () => {
    const bench = PublisherBench.connected();
    bench.link.onRequest = (request) => {
      if (request === 'open channel') throw new TransportError('no channel is left', { isExhausted: true });
    };
    const a = bench.send('a', { timeoutMs: 1_000 });
    await bench.clock.pass(2_000);
    bench.link.onRequest = () => undefined;
    const b = bench.send('b', { timeoutMs: 6_000 });
    await bench.clock.pass(10_000);

    expect(a.error).toMatchObject({
      maybeDelivered: false,
      message: "The message for the queue 'emails' could not be sent within 1000 ms (no channel is left)",
    });
    expect(b.error).toMatchObject({
      message: "The message for the queue 'emails' was not confirmed within 6000 ms",
    });
  });

  it('says that nothing was delivered when the server blocked publishing, and why', async () => {
    const bench = PublisherBench.connected();
    bench.link.block('low on disk');
    const a = bench.send('a', { timeoutMs: 1_000 });
    await bench.clock.pass(2_000);

    expect(a.error).toMatchObject({
      maybeDelivered: false,
      message: expect.stringContaining('(the server blocks publishing: low on disk)'),
    });
  });

  it('is its own for each send', async () => {
    const bench = new PublisherBench();
    const sends = {
      late: bench.send('late', { timeoutMs: 5_000 }),
      early: bench.send('early', { timeoutMs: 100 }),
    };
    await bench.clock.pass(200);

    expect(states(sends)).toEqual({ late: 'pending', early: 'TIMEOUT' });
    expect(bench.publisher.pending).toBe(1);
  });

  it('that is infinite never passes', async () => {
    const bench = new PublisherBench();
    const a = bench.send('a', { timeoutMs: Number.POSITIVE_INFINITY });
    await bench.clock.pass(10 ** 9);

    expect(a.state).toBe('pending');
  });

  it('does not pass for a send that is settled', async () => {
    const bench = PublisherBench.connected();
    bench.send('a', { timeoutMs: 100 });
    bench.send('b');
    await turn();
    bench.channel.confirm(1);
    await bench.clock.pass(1_000);

    expect(bench.publisher.pending).toBe(1);
  });

  it('leaves no timer once everything is settled', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a', 'b');
    bench.channel.confirm(2, { multiple: true });

    expect(bench.clock.armed).toBe(0);
  });

  it('lets what is confirmed afterwards go by', async () => {
    const bench = PublisherBench.connected();
    const sends = { a: bench.send('a', { timeoutMs: 1_000 }), b: bench.send('b') };
    await turn();
    bench.channel.confirm(2);
    await bench.clock.pass(2_000);
    bench.channel.confirm(1);
    await turn();

    expect(states(sends)).toEqual({ a: 'TIMEOUT', b: 'resolved' });
    expect(bench.publisher).toMatchObject({ pending: 0, inFlight: 0 });
  });
});

describe('a channel that does not confirm', () => {
  it('is replaced once a send has waited in vain, and the others are sent again', async () => {
    const bench = PublisherBench.connected();
    const sends = { a: bench.send('a', { timeoutMs: 1_000 }), b: bench.send('b') };
    await turn();
    const silent = bench.channel;
    await bench.clock.pass(2_000);
    bench.channel.confirm(1);
    await turn();

    expect(silent.isOpen).toBe(false);
    expect(bench.channel.ids).toEqual(['b']);
    expect(states(sends)).toEqual({ a: 'TIMEOUT', b: 'resolved' });
  });

  it('is closed when nothing waits any more, and the publisher rests', async () => {
    const bench = PublisherBench.connected();
    const a = bench.send('a', { timeoutMs: 1_000 });
    await turn();
    const silent = bench.channel;
    const before = bench.isActive;
    await bench.clock.pass(2_000);

    expect({ before, after: bench.isActive, isOpen: silent.isOpen, ...states({ a }) }).toEqual({
      before: true,
      after: false,
      isOpen: false,
      a: 'TIMEOUT',
    });
  });

  it('is not replaced again before the next one has had its time, so that no message is sent again and again', async () => {
    const bench = PublisherBench.connected();
    for (let n = 0; n < 100; n++) bench.send(`m${n}`, { timeoutMs: 1_000 + 10 * n });
    const last = bench.send('last', { timeoutMs: 60_000 });
    await turn();
    const channels = new Set([bench.channel]);
    for (let passed = 0; passed < 10_000; passed += 10) {
      await bench.clock.pass(10);
      channels.add(bench.channel);
    }
    expect(channels.size).toBe(2);
    expect(last.state).toBe('pending');
    bench.channel.confirm(bench.channel.ids.length);
    await turn();
    expect(last.state).toBe('resolved');
  });

  it('is forgotten: when its end is heard of late, the next one stays', async () => {
    const bench = PublisherBench.connected();
    bench.send('a', { timeoutMs: 1_000 });
    const b = bench.send('b');
    await turn();
    const silent = bench.channel;
    await bench.clock.pass(2_000);
    const fresh = bench.channel;
    silent.options.onClosed(new TransportError('closed at last'));
    fresh.confirm(1);
    await bench.sendAll('c');

    expect({ state: b.state, isFresh: bench.channel === fresh, ids: fresh.ids }).toEqual({
      state: 'resolved',
      isFresh: true,
      ids: ['b', 'c'],
    });
  });

  it('is kept when it has confirmed anything meanwhile', async () => {
    const bench = PublisherBench.connected();
    bench.send('a', { timeoutMs: 1_000 });
    bench.send('b');
    await turn();
    const { channel } = bench;
    channel.confirm(2);
    await bench.clock.pass(2_000);

    expect({ isOpen: channel.isOpen, channel: bench.channel }).toEqual({ isOpen: true, channel });
  });

  it('is kept when the deadline passed before the message was sent', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 1 });
    await bench.sendAll('a');
    const { channel } = bench;
    bench.send('b', { timeoutMs: 1_000 });
    await bench.clock.pass(2_000);

    expect(channel.isOpen).toBe(true);
  });

  it('is kept while the server blocks publishing: it does not confirm then either', async () => {
    const bench = PublisherBench.connected();
    bench.send('a', { timeoutMs: 1_000 });
    await turn();
    const { channel } = bench;
    bench.link.block('memory');
    await bench.clock.pass(2_000);

    expect(channel.isOpen).toBe(true);
  });
});

describe('the signal of a send', () => {
  it('rejects it with its own reason while it waits, and lets the next one in', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 1 });
    const controller = new AbortController();
    await bench.sendAll('a');
    const sends = { b: bench.send('b', { signal: controller.signal }), c: bench.send('c') };
    controller.abort('enough');
    bench.channel.confirm(1);
    await turn();

    expect(states(sends)).toEqual({ b: 'enough', c: 'pending' });
    expect(bench.channel.ids).toEqual(['a', 'c']);
  });

  it('lets through what it had held up', async () => {
    const bench = PublisherBench.connected();
    const controller = new AbortController();
    bench.send('a', { hasOwnId: true });
    bench.send('a', { hasOwnId: true, signal: controller.signal });
    bench.send('b');
    await turn();
    controller.abort();

    expect(bench.channel.ids).toEqual(['a', 'b']);
  });

  it('rejects it with its own reason also when it is on its way', async () => {
    const bench = PublisherBench.connected();
    const controller = new AbortController();
    const a = bench.send('a', { signal: controller.signal });
    await turn();
    controller.abort();
    await turn();

    expect(a.error).toBe(controller.signal.reason);
    expect(bench.publisher.pending).toBe(0);
  });

  it('that is aborted already takes nothing', async () => {
    const bench = PublisherBench.connected();
    const a = bench.send('a', { signal: AbortSignal.abort('too late') });
    await turn();

    expect(a.error).toBe('too late');
    expect({ pending: bench.publisher.pending, requests: bench.link.requests }).toEqual({
      pending: 0,
      requests: [],
    });
  });

  it('is let go of when the send is settled', async () => {
    const bench = PublisherBench.connected({ maxBuffered: 1 });
    const { signal } = new AbortController();
    bench.send('a', { signal });
    bench.send('refused', { signal });
    bench.send('full', { signal });
    await turn();
    const during = getEventListeners(signal, 'abort').length;
    bench.channel.confirm(1);
    bench.publisher.abort();

    expect({ during, after: getEventListeners(signal, 'abort').length }).toEqual({ during: 1, after: 0 });
  });
});
