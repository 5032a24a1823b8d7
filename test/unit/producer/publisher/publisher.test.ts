import { describe, expect, it } from 'vitest';
import { ConfigurationError, RejectedError } from '../../../../src/errors.js';
import { turn } from '../../support/fake-clock.js';
import { bounded, PublisherBench, states } from '../../support/publisher.js';

const MIB = 1024 * 1024;

describe('an publisher', () => {
  it('opens nothing before there is something to send', async () => {
    const bench = PublisherBench.connected();
    bench.publisher.flush();
    await turn();

    expect(bench.link.requests).toEqual([]);
  });

  it('declares its contract on its own channel before it publishes', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');

    expect(bench.link.requests).toEqual(['open channel', 'declare queue emails']);
    expect(bench.channel.options.confirms).toBe(true);
  });

  it('declares nothing without a contract', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    await bench.sendAll('a');

    expect(bench.link.requests).toEqual(['open channel']);
  });

  it('publishes without waiting for confirms, in order, on one channel', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a', 'b');
    await bench.sendAll('c');

    expect(bench.channel.ids).toEqual(['a', 'b', 'c']);
    expect(bench.publisher).toMatchObject({ pending: 3, inFlight: 3 });
  });

  it('resolves a send with its receipt once it is confirmed, and not before', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    const before = a?.state;
    bench.channel.confirm(1);
    await turn();

    expect({ before, state: a?.state, value: a?.value }).toEqual({
      before: 'pending',
      state: 'resolved',
      value: { messageId: 'a' },
    });
    expect(bench.publisher).toMatchObject({ pending: 0, inFlight: 0 });
  });

  it('resolves everything that a multiple confirm is about', async () => {
    const bench = PublisherBench.connected();
    const sends = await bench.sendAll('a', 'b', 'c');
    bench.channel.confirm(2, { multiple: true });
    await turn();

    expect(states(sends)).toEqual({ a: 'resolved', b: 'resolved', c: 'pending' });
  });

  it('takes confirms in any order, and those that it does not know', async () => {
    const bench = PublisherBench.connected();
    const sends = await bench.sendAll('a', 'b', 'c');
    for (const tag of [3, 3, 99, 1]) bench.channel.confirm(tag);
    await turn();

    expect(states(sends)).toEqual({ a: 'resolved', b: 'pending', c: 'resolved' });
  });

  it('rejects what the server refuses, and nothing else', async () => {
    const bench = PublisherBench.connected({ contract: bounded });
    const sends = await bench.sendAll('a', 'b', 'c', 'd');
    bench.channel.refuse(1);
    bench.channel.confirm(2);
    bench.channel.refuse(4, { multiple: true });
    await turn();

    expect(states(sends)).toEqual({ a: 'REJECTED', b: 'resolved', c: 'REJECTED', d: 'REJECTED' });
    expect(sends.a?.error).toBeInstanceOf(RejectedError);
    expect(sends.a?.error).toMatchObject({ message: expect.stringContaining("the queue 'emails'") });
  });

  it('sends again what a queue refuses that cannot be full: it has no leader yet', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    bench.channel.refuse(1);
    await turn();
    const atOnce = { state: a?.state, ids: bench.channel.ids.length };
    await bench.clock.pass(100);
    const afterwards = { state: a?.state, ids: bench.channel.ids.length };
    bench.channel.confirm(2);
    await turn();

    expect(atOnce).toEqual({ state: 'pending', ids: 1 });
    expect(afterwards).toEqual({ state: 'pending', ids: 2 });
    expect(a?.state).toBe('resolved');
  });

  it('rejects in the end what is refused again and again, in less than ten seconds', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    for (let n = 0; n < 10 && a?.state === 'pending'; n++) {
      const { channel } = bench;
      if (channel.ids.length > 0) channel.refuse(channel.ids.length);
      await bench.clock.pass(1_000);
    }

    expect(a?.error).toMatchObject({ code: 'REJECTED' });
  });

  it('replaces a channel on which a queue goes on refusing', async () => {
    const bench = PublisherBench.connected();
    const { a } = await bench.sendAll('a');
    const deaf = bench.channel;
    await bench.clock.pass(2_000);
    deaf.refuse(1);
    await bench.clock.pass(1_000);
    const isOther = bench.channel !== deaf;
    bench.channel.confirm(1);
    await turn();

    expect({ isOther, state: a?.state }).toEqual({ isOther: true, state: 'resolved' });
  });

  it('publishes nothing while the server blocks publishing, and goes on afterwards', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('a');
    bench.link.block('memory');
    await bench.sendAll('b');
    const during = [...bench.channel.ids];
    bench.link.block(undefined);
    bench.publisher.flush();

    expect({ during, ids: bench.channel.ids }).toEqual({ during: ['a'], ids: ['a', 'b'] });
  });

  it('fails a message that cannot be encoded, and sends the others', async () => {
    const bench = PublisherBench.connected();
    await bench.sendAll('first');
    bench.channel.onPublish = ({ properties }) => {
      if (properties.messageId === 'bad') throw new TypeError('unknown type of header');
    };
    const sends = await bench.sendAll('bad', 'good');
    bench.channel.confirm(2, { multiple: true });
    await turn();

    expect(states(sends)).toEqual({ bad: 'INVALID_OPTION', good: 'resolved' });
    expect(sends.bad?.error).toBeInstanceOf(ConfigurationError);
    expect(sends.bad?.error).toMatchObject({ message: expect.stringContaining('unknown type of header') });
  });
});

describe('the window of an publisher', () => {
  it('is bounded by the number of messages', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 2 });
    await bench.sendAll('a', 'b', 'c', 'd', 'e');
    const first = [...bench.channel.ids];
    bench.channel.confirm(1);
    const second = [...bench.channel.ids];
    bench.channel.confirm(3, { multiple: true });

    expect({ first, second, ids: bench.channel.ids }).toEqual({
      first: ['a', 'b'],
      second: ['a', 'b', 'c'],
      ids: ['a', 'b', 'c', 'd', 'e'],
    });
  });

  it('is bounded by their bytes', async () => {
    const bench = PublisherBench.connected();
    for (const id of ['a', 'b', 'c']) bench.send(id, { bodyBytes: 7 * MIB });
    await turn();
    const first = [...bench.channel.ids];
    bench.channel.confirm(1);

    expect({ first, ids: bench.channel.ids }).toEqual({ first: ['a', 'b'], ids: ['a', 'b', 'c'] });
  });

  it('lets one through that is larger than it, alone', async () => {
    const bench = PublisherBench.connected();
    bench.send('small');
    bench.send('large', { bodyBytes: 17 * MIB });
    bench.send('next');
    await turn();
    const first = [...bench.channel.ids];
    bench.channel.confirm(1);
    const second = [...bench.channel.ids];
    bench.channel.confirm(2);

    expect({ first, second, ids: bench.channel.ids }).toEqual({
      first: ['small'],
      second: ['small', 'large'],
      ids: ['small', 'large', 'next'],
    });
  });
});

describe('two sends with one id of their own', () => {
  it('go one after the other, and what comes behind keeps its place', async () => {
    const bench = PublisherBench.connected();
    const own = { hasOwnId: true };
    const sends = [bench.send('a', own), bench.send('b', own), bench.send('a', own), bench.send('c', own)];
    await turn();
    const first = [...bench.channel.ids];
    bench.channel.confirm(1);
    const second = [...bench.channel.ids];
    bench.channel.confirm(4, { multiple: true });
    await turn();

    expect({ first, second }).toEqual({ first: ['a', 'b'], second: ['a', 'b', 'a', 'c'] });
    expect(sends.map(({ state }) => state)).toEqual(['resolved', 'resolved', 'resolved', 'resolved']);
  });

  it('are told apart when one of them comes back', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    const own = { hasOwnId: true };
    const sends = { first: bench.send('a', own), second: bench.send('a', own) };
    await turn();
    bench.channel.confirm(1);
    bench.channel.giveBack(bench.channel.published[1]);
    bench.channel.confirm(2);
    await turn();

    expect(states(sends)).toEqual({ first: 'resolved', second: 'UNROUTABLE' });
  });

  it('go on after the first was refused, or its channel lost', async () => {
    const bench = PublisherBench.connected({ contract: bounded });
    const own = { hasOwnId: true };
    const sends = { first: bench.send('a', own), second: bench.send('a', own), third: bench.send('a', own) };
    await turn();
    bench.channel.refuse(1);
    bench.connection.lose();
    bench.connection.open();
    await turn();
    bench.channel.confirm(1);
    bench.channel.confirm(2);
    await turn();

    expect(states(sends)).toEqual({ first: 'REJECTED', second: 'resolved', third: 'resolved' });
    expect(bench.channel.ids).toEqual(['a', 'a']);
  });
});
