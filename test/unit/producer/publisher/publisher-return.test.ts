import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../../src/contracts/exchange.js';
import { queue } from '../../../../src/contracts/queue.js';
import { TopologyError, UnroutableError } from '../../../../src/errors.js';
import { TransportError } from '../../../../src/transport/port.js';
import { turn } from '../../support/fake-clock.js';
import { bounded, PublisherBench, states } from '../../support/publisher.js';

const orders = exchange('orders', z.any());

/** The server gives the message back, and confirms it, as it does with one that no queue takes. */
function giveBack(bench: PublisherBench, tag: number): void {
  bench.channel.giveBack(bench.channel.published[tag - 1]);
  bench.channel.confirm(tag);
}

const declarations = (bench: PublisherBench) => bench.link.requests.filter((it) => it.startsWith('declare'));

describe('a message that no queue took', () => {
  it('is sent again with the same id, once its queue is declared again', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    giveBack(bench, 1);
    await turn();
    const again = { state: a?.state, ids: bench.channel.ids, declarations: declarations(bench) };
    bench.channel.confirm(2);
    await turn();

    expect(again).toEqual({
      state: 'pending',
      ids: ['a', 'a'],
      declarations: ['declare queue emails', 'declare queue emails'],
    });
    expect(a?.state).toBe('resolved');
  });

  it('is unroutable when it comes back a second time', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    giveBack(bench, 1);
    await turn();
    giveBack(bench, 2);
    await turn();

    expect(a?.error).toBeInstanceOf(UnroutableError);
    expect(a?.error).toMatchObject({
      exchange: '',
      routingKey: 'emails',
      retryable: false,
      message: expect.stringMatching(
        /^The message for the queue 'emails' is unroutable \(NO_ROUTE\)\. Declare/,
      ),
    });
    expect(bench.channel.ids).toEqual(['a', 'a']);
  });

  it.each([
    ['an exchange', orders],
    ['a queue that the program does not declare', queue('emails', z.any(), { declare: false })],
    ['a queue that is only checked', queue('emails', z.any(), { declare: 'passive' })],
    ['no contract', undefined],
  ])('is unroutable at once for %s', async (_, contract) => {
    const bench = PublisherBench.connected({ contract });
    const { a } = await bench.sendAll('a');
    const before = declarations(bench);
    giveBack(bench, 1);
    await turn();

    expect(a?.error).toBeInstanceOf(UnroutableError);
    expect(declarations(bench)).toEqual(before);
    expect(bench.channel.ids).toEqual(['a']);
  });

  it('names the routing key of an exchange', async () => {
    const bench = PublisherBench.connected({ contract: orders });
    const { a } = await bench.sendAll('a');
    giveBack(bench, 1);
    await turn();

    expect(a?.error).toMatchObject({
      exchange: 'orders',
      routingKey: 'eu',
      message: expect.stringContaining("with the routing key 'eu'"),
    });
  });

  it('does not take others with it', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    const sends = await bench.sendAll('a', 'b', 'c');
    bench.channel.giveBack(bench.channel.published[1]);
    bench.channel.confirm(3, { multiple: true });
    await turn();

    expect(states(sends)).toEqual({ a: 'resolved', b: 'UNROUTABLE', c: 'resolved' });
  });

  it('that the server refuses after all is rejected', async () => {
    const bench = PublisherBench.connected({ contract: bounded });
    const { a } = await bench.sendAll('a');
    bench.channel.giveBack(bench.channel.published[0]);
    bench.channel.refuse(1);
    await turn();

    expect(a?.error).toMatchObject({ code: 'REJECTED' });
  });

  it('is not unroutable because it came back on an earlier channel', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    const { a } = await bench.sendAll('a');
    bench.channel.giveBack(bench.channel.published[0]);
    bench.connection.lose();
    bench.connection.open();
    await turn();
    bench.channel.confirm(1);
    await turn();

    expect(a?.state).toBe('resolved');
  });

  it('that was given up meanwhile is settled once', async () => {
    const bench = PublisherBench.connected();
    const controller = new AbortController();
    const a = bench.send('a', { signal: controller.signal });
    await turn();
    controller.abort('enough');
    giveBack(bench, 1);
    await turn();

    expect(a.error).toBe('enough');
    expect(bench.channel.ids).toEqual(['a']);
    expect(bench.publisher.pending).toBe(0);
  });
});

describe('while a queue is declared again', () => {
  /** Holds the declaration until the test lets it go on. */
  function held(bench: PublisherBench) {
    let go = (_: Error | undefined) => {};
    bench.link.onRequest = (request) =>
      request.startsWith('declare')
        ? new Promise<void>((resolve, reject) => {
            go = (error) => (error ? reject(error) : resolve());
          })
        : undefined;
    return (error?: Error) => go(error);
  }

  it('nothing is published, and then what came back goes first, in its order', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a', 'b', 'c');
    const letGo = held(bench);
    bench.channel.confirm(1);
    bench.channel.giveBack(bench.channel.published[1]);
    bench.channel.giveBack(bench.channel.published[2]);
    bench.channel.confirm(3, { multiple: true });
    await bench.sendAll('d');
    const during = [...bench.channel.ids];
    letGo();
    await turn();

    expect({ during, ids: bench.channel.ids }).toEqual({
      during: ['a', 'b', 'c'],
      ids: ['a', 'b', 'c', 'b', 'c', 'd'],
    });
  });

  it('one declaration does for all that come back', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a', 'b');
    const letGo = held(bench);
    giveBack(bench, 1);
    giveBack(bench, 2);
    await turn();
    letGo();
    await turn();

    expect(declarations(bench)).toHaveLength(2);
    expect(bench.channel.ids.slice(2).toSorted()).toEqual(['a', 'b']);
  });

  it('a refusal of the server fails everything that waits for the queue', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');
    const letGo = held(bench);
    giveBack(bench, 1);
    const sends = await bench.sendAll('b');
    letGo(new TransportError('ACCESS_REFUSED - access refused', { replyCode: 403 }));
    await turn();

    expect(sends.b?.error).toBeInstanceOf(TopologyError);
    expect(sends.b?.error).toMatchObject({ code: 'ACCESS_REFUSED' });
    expect(bench.publisher.pending).toBe(0);
  });

  it('one on a node that is down is asked for again, and does not count as missing', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    const down = new TransportError(
      `with message "NOT_FOUND - home node 'b' of durable queue 'emails' in vhost '/' is down or inaccessible"`,
      { replyCode: 404 },
    );
    let isDown = true;
    bench.link.onRequest = (request) =>
      request.startsWith('declare') && isDown ? Promise.reject(down) : undefined;
    giveBack(bench, 1);
    await bench.clock.pass(2_000);
    const during = {
      state: a?.state,
      sent: bench.channel.ids.length,
      isDeclared: declarations(bench).length > 3,
    };
    isDown = false;
    await bench.clock.pass(1_000);
    bench.channel.confirm(2);
    await turn();
    expect(during).toEqual({ state: 'pending', sent: 1, isDeclared: true });
    expect({ state: a?.state, ids: bench.channel.ids }).toEqual({ state: 'resolved', ids: ['a', 'a'] });
  });

  it('a lost connection leads to the next, where it is declared before anything is sent', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    held(bench);
    giveBack(bench, 1);
    await turn();
    bench.connection.lose();
    bench.connection.open();
    await turn();
    bench.channel.confirm(1);
    await turn();

    expect(declarations(bench)).toEqual(['declare queue emails']);
    expect({ state: a?.state, ids: bench.channel.ids }).toEqual({ state: 'resolved', ids: ['a'] });
  });
});

describe('two messages with one id that their callers chose', () => {
  it('wait for one another, and no other message with them, where the messages go to many queues', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    const sends = {
      first: bench.sendTo('stalled', 'x', { hasOwnId: true }),
      second: bench.sendTo('stalled', 'x', { hasOwnId: true }),
      other: bench.sendTo('other', 'y', { hasOwnId: true }),
    };
    await turn();
    const before = [...bench.channel.ids];
    bench.channel.confirm(2);
    bench.channel.confirm(1);
    await turn();
    const after = [...bench.channel.ids];
    bench.channel.confirm(3);
    await turn();

    expect({ before, after, ...states(sends) }).toEqual({
      before: ['x', 'y'],
      after: ['x', 'y', 'x'],
      first: 'resolved',
      second: 'resolved',
      other: 'resolved',
    });
  });

  it('are both sent again on the next channel', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    bench.sendTo('stalled', 'x', { hasOwnId: true });
    bench.sendTo('stalled', 'x', { hasOwnId: true });
    bench.sendTo('other', 'y', { hasOwnId: true });
    await turn();
    bench.connection.lose();
    bench.connection.open();
    await turn();
    await turn();
    const before = [...bench.channel.ids];
    bench.channel.confirm(1);
    await turn();

    expect({ before, after: bench.channel.ids }).toEqual({ before: ['x', 'y'], after: ['x', 'y', 'x'] });
  });
});
