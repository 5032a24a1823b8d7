import { describe, expect, it } from 'vitest';
import { TopologyError } from '../../../../src/errors.js';
import { TransportError } from '../../../../src/transport/port.js';
import { turn } from '../../support/fake-clock.js';
import { PublisherBench, states } from '../../support/publisher.js';

const topology = (bench: PublisherBench) =>
  bench.link.requests.filter((it) => /^(?:declare|bind|check)/.test(it) && it.includes('leveret.delay'));
const exchanges = (bench: PublisherBench) => bench.channel.published.map(({ exchange }) => exchange);

/** Time for as many answers as all declarations need. */
async function settle(): Promise<void> {
  for (let turns = 0; turns < 50; turns++) await turn();
}

describe('a delayed send', () => {
  it('waits until its levels are declared, once, and keeps its place among the others', async () => {
    const bench = PublisherBench.connected();
    bench.send('a', { delayMs: 1_000 });
    bench.send('b');
    await settle();
    const declared = topology(bench).length;
    bench.send('c', { delayMs: 1_000 });
    await settle();

    expect({ ids: bench.channel.ids, exchanges: exchanges(bench) }).toEqual({
      ids: ['a', 'b', 'c'],
      exchanges: ['leveret.delay.1s', '', 'leveret.delay.1s'],
    });
    expect({ isDeclared: declared > 0, declarations: topology(bench).length }).toEqual({
      isDeclared: true,
      declarations: declared,
    });
  });

  it('is sent at once when it is due before it could be sent', async () => {
    const bench = new PublisherBench();
    bench.send('a', { delayMs: 1_000 });
    await bench.clock.pass(1_000);
    bench.connection.open();
    await settle();

    expect(exchanges(bench)).toEqual(['']);
  });

  it('is delayed only for what is left when it is sent again', async () => {
    const bench = PublisherBench.connected();
    bench.send('a', { delayMs: 4_000 });
    await settle();
    const before = exchanges(bench);
    await bench.clock.pass(2_000);
    bench.connection.lose();
    bench.connection.open();
    await settle();

    expect({ before, after: exchanges(bench), ids: bench.channel.ids }).toEqual({
      before: ['leveret.delay.4s'],
      after: ['leveret.delay.1s'],
      ids: ['a'],
    });
  });

  it('that came back is sent once more, after everything was declared again', async () => {
    const bench = PublisherBench.connected();
    const a = bench.send('a', { delayMs: 1_000 });
    await settle();
    const declared = topology(bench).length;
    const fail = (tag: number) => {
      bench.channel.giveBack(bench.channel.published[tag - 1]);
      bench.channel.confirm(tag);
    };
    fail(1);
    await settle();
    const after = { state: a.state, ids: bench.channel.ids, declarations: topology(bench).length };
    fail(2);
    await settle();

    expect(after).toEqual({ state: 'pending', ids: ['a', 'a'], declarations: 2 * declared });
    expect(states({ a })).toEqual({ a: 'UNROUTABLE' });
  });

  it('that was refused is sent again: its delay queue has no leader yet', async () => {
    const bench = PublisherBench.connected();
    const a = bench.send('a', { delayMs: 60_000 });
    await settle();
    bench.channel.refuse(1);
    await bench.clock.pass(100);
    bench.channel.confirm(2);
    await settle();

    expect({ state: a.state, ids: bench.channel.ids }).toEqual({ state: 'resolved', ids: ['a', 'a'] });
  });

  it('fails when its levels cannot be declared, and no other send with it', async () => {
    const bench = PublisherBench.connected();
    bench.link.onRequest = (request) => {
      if (request.includes('leveret.delay')) throw new TransportError('NO', { replyCode: 403 });
    };
    const sends = {
      a: bench.send('a', { delayMs: 1_000 }),
      b: bench.send('b'),
      c: bench.send('c', { delayMs: 5_000 }),
    };
    await settle();
    bench.channel.confirm(1);
    await settle();

    expect(states(sends)).toEqual({ a: 'ACCESS_REFUSED', b: 'resolved', c: 'ACCESS_REFUSED' });
    expect(sends.a.error).toBeInstanceOf(TopologyError);
    expect((sends.a.error as Error).message).toMatch(/broker\.declare\(delays\(…\)\)/);
  });
});

describe('delayed sends to several targets', () => {
  /** Binds of targets that the server does not answer, until the test lets it. */
  const withhold = (bench: PublisherBench, queue: string) => {
    const answers: (() => void)[] = [];
    bench.link.onRequest = (request) =>
      request === `bind ${queue} to leveret.delay.landed`
        ? new Promise<void>((resolve) => answers.push(resolve))
        : undefined;
    return () => {
      for (const answer of answers.splice(0)) answer();
    };
  };
  const binds = (bench: PublisherBench, queue: string) =>
    bench.link.requests.filter((it) => it === `bind ${queue} to leveret.delay.landed`).length;

  it('wait for the declaration of their own target only, whatever else is sent to it', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    const answer = withhold(bench, 'slow');
    bench.sendTo('slow', 'slow, delayed', { delayMs: 1_000 });
    bench.sendTo('slow', 'slow');
    bench.sendTo('fast', 'fast, delayed', { delayMs: 1_000 });
    bench.sendTo('other', 'other');
    await settle();
    const before = [...bench.channel.ids];
    answer();
    await settle();

    expect({ before: before.toSorted(), after: bench.channel.ids.slice(before.length) }).toEqual({
      before: ['fast, delayed', 'other'],
      after: ['slow, delayed', 'slow'],
    });
  });

  it('settle by their deadline while their target is being declared', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    withhold(bench, 'slow');
    const sends = { a: bench.sendTo('slow', 'a', { delayMs: 60_000 }), b: bench.sendTo('slow', 'b') };
    await settle();
    await bench.clock.pass(31_000);

    expect(states(sends)).toEqual({ a: 'TIMEOUT', b: 'TIMEOUT' });
  });

  it('go on while their target, bound a while ago, is bound again', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    bench.sendTo('q', 'a', { delayMs: 60_000 });
    await settle();
    const answer = withhold(bench, 'q');
    await bench.clock.pass(6_000);
    bench.sendTo('q', 'b', { delayMs: 60_000 });
    bench.sendTo('q', 'c', { delayMs: 60_000 });
    await settle();
    const meanwhile = { ids: [...bench.channel.ids], binds: binds(bench, 'q') };
    answer();
    await settle();
    await bench.clock.pass(4_000);
    bench.sendTo('q', 'd', { delayMs: 60_000 });
    await settle();

    expect(meanwhile).toEqual({ ids: ['a', 'b', 'c'], binds: 2 });
    expect({ ids: bench.channel.ids, binds: binds(bench, 'q') }).toEqual({
      ids: ['a', 'b', 'c', 'd'],
      binds: 2,
    });
  });

  it('wait where their target was bound too long ago: it may have been declared anew without its binding', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    bench.sendTo('q', 'a', { delayMs: 60_000 });
    await settle();
    const answer = withhold(bench, 'q');
    await bench.clock.pass(10_000);
    bench.sendTo('q', 'b', { delayMs: 60_000 });
    await settle();
    const before = [...bench.channel.ids];
    answer();
    await settle();

    expect({ before, after: bench.channel.ids }).toEqual({ before: ['a'], after: ['a', 'b'] });
  });

  it('fail with what a renewal has found, once the message after it has asked again', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    bench.sendTo('q', 'a', { delayMs: 60_000 });
    await settle();
    await bench.clock.pass(6_000);
    bench.link.onRequest = (request) => {
      if (request.startsWith('bind q'))
        throw new TransportError("NOT_FOUND - no queue 'q'", { replyCode: 404 });
    };
    bench.sendTo('q', 'b', { delayMs: 60_000 });
    await settle();
    const sends = { c: bench.sendTo('q', 'c', { delayMs: 60_000 }) };
    await settle();

    expect({ ids: bench.channel.ids, ...states(sends) }).toEqual({ ids: ['a', 'b'], c: 'UNROUTABLE' });
  });
});
