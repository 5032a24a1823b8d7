import { describe, expect, it } from 'vitest';
import { ClosedError } from '../../../../src/errors.js';
import { TransportError } from '../../../../src/transport/port.js';
import { turn } from '../../support/fake-clock.js';
import { bounded, PublisherBench, states } from '../../support/publisher.js';
import { track } from '../../support/track.js';

describe('closing an publisher', () => {
  it('waits until everything is settled, and closes the channel', async () => {
    const bench = PublisherBench.connected({ contract: bounded });
    const sends = await bench.sendAll('a', 'b');
    const closing = track(bench.publisher.close());
    bench.channel.confirm(1);
    await turn();
    const during = closing.state;
    bench.channel.refuse(2);
    await turn();

    expect({ during, state: closing.state, isOpen: bench.channel.isOpen }).toEqual({
      during: 'pending',
      state: 'resolved',
      isOpen: false,
    });
    expect(states(sends)).toEqual({ a: 'resolved', b: 'REJECTED' });
  });

  it('sends what waits first', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 1 });
    await bench.sendAll('a', 'b');
    const closing = track(bench.publisher.close());
    bench.channel.confirm(1);
    bench.channel.confirm(2);
    await turn();

    expect({ ids: bench.channel.ids, state: closing.state }).toEqual({ ids: ['a', 'b'], state: 'resolved' });
  });

  it('resolves at once when there is nothing to wait for', async () => {
    const bench = PublisherBench.connected();

    await expect(bench.publisher.close()).resolves.toBeUndefined();
    expect(bench.link.requests).toEqual([]);
  });

  it('takes no more: surely not delivered', async () => {
    const bench = PublisherBench.connected();
    await bench.publisher.close();
    const { a } = await bench.sendAll('a');

    expect(a?.error).toBeInstanceOf(ClosedError);
    expect(a?.error).toMatchObject({ maybeDelivered: false });
    expect(bench.link.requests).toEqual([]);
  });

  it('resolves when the deadline of the last send has passed', async () => {
    const bench = new PublisherBench();
    bench.send('a', { timeoutMs: 1_000 });
    const closing = track(bench.publisher.close());
    await bench.clock.pass(2_000);

    expect({ state: closing.state, armed: bench.clock.armed }).toEqual({ state: 'resolved', armed: 0 });
  });

  it('closes also a channel that was being opened', async () => {
    const bench = PublisherBench.connected();
    const controller = new AbortController();
    let letGo = () => {};
    bench.link.onRequest = (request) =>
      request === 'open channel' ? new Promise<void>((resolve) => (letGo = resolve)) : undefined;
    bench.send('a', { signal: controller.signal });
    await turn();
    controller.abort('enough');
    await bench.publisher.close();
    letGo();
    await turn();

    expect(bench.channel.isOpen).toBe(false);
    expect(bench.channel.ids).toEqual([]);
  });

  it('survives a second time, and another loss of the connection', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');
    const both = [track(bench.publisher.close()), track(bench.publisher.close())];
    bench.connection.lose();
    bench.connection.open();
    await turn();
    bench.channel.confirm(1);
    await turn();

    expect(both.map(({ state }) => state)).toEqual(['resolved', 'resolved']);
  });
});

describe('aborting an publisher', () => {
  it('settles everything, and says what may be delivered', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 1 });
    const sends = await bench.sendAll('published', 'waiting');
    bench.publisher.abort();
    await turn();

    expect(states(sends)).toEqual({ published: 'CLOSED', waiting: 'CLOSED' });
    expect(sends.published?.error).toMatchObject({
      maybeDelivered: true,
      message: "The message for the queue 'emails' was not confirmed: the producer is closed",
    });
    expect(sends.waiting?.error).toMatchObject({
      maybeDelivered: false,
      message: "The message for the queue 'emails' was not sent: the producer is closed",
    });
    expect(bench.publisher.pending).toBe(0);
    expect(bench.channel.isOpen).toBe(false);
    expect(bench.clock.armed).toBe(0);
  });

  it('ends a close that waits', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');
    const closing = track(bench.publisher.close());
    bench.publisher.abort();
    await turn();

    expect(closing.state).toBe('resolved');
  });

  it('takes no more', async () => {
    const bench = PublisherBench.connected();
    bench.publisher.abort();
    const { a } = await bench.sendAll('a');

    expect(a?.error).toMatchObject({ code: 'CLOSED', maybeDelivered: false });
  });

  it('ends the wait for the next attempt to open a channel, and makes none', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');
    bench.channel.die(new TransportError('closed', { replyCode: 541 }));
    await turn();
    const opened = bench.link.channels.length;
    bench.publisher.abort();
    await turn();
    const { armed } = bench.clock;
    await bench.clock.pass(60_000);

    expect(armed).toBe(0);
    expect(bench.link.channels.filter(({ isOpen }) => isOpen)).toEqual([]);
    expect(bench.link.channels.slice(opened).flatMap(({ ids }) => ids)).toEqual([]);
  });

  it('closes a channel that was being opened', async () => {
    const bench = new PublisherBench();
    bench.send('a');
    bench.publisher.abort();
    bench.connection.open();
    await turn();

    expect(bench.link.channels.filter(({ isOpen }) => isOpen)).toEqual([]);
    expect(bench.link.channels.flatMap(({ ids }) => ids)).toEqual([]);
  });

  it('settles also what came back and waits for its queue', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    bench.link.onRequest = () => new Promise(() => {});
    bench.channel.giveBack(bench.channel.published[0]);
    bench.channel.confirm(1);
    await turn();
    bench.publisher.abort();
    await turn();

    expect(a?.error).toMatchObject({ code: 'CLOSED', maybeDelivered: true });
  });
});
