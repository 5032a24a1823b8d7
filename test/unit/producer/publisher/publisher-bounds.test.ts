import { describe, expect, it } from 'vitest';
import { BufferFullError } from '../../../../src/errors.js';
import { turn } from '../../support/fake-clock.js';
import { PublisherBench, states } from '../../support/publisher.js';

const MIB = 1024 * 1024;

describe('the buffer of an publisher', () => {
  it('holds as many messages as it may, while there is no connection', async () => {
    const bench = new PublisherBench({ maxBuffered: 3 });
    const sends = await bench.sendAll('a', 'b', 'c', 'd');

    expect(states(sends)).toEqual({ a: 'pending', b: 'pending', c: 'pending', d: 'BUFFER_FULL' });
    expect(sends.d?.error).toBeInstanceOf(BufferFullError);
    expect(sends.d?.error).toMatchObject({
      message: expect.stringContaining('limit: 3 messages or 64 MiB'),
    });
  });

  it('holds as many messages as it may beside those that are published', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 2, maxBuffered: 1 });
    await bench.sendAll('a');
    const sends = await bench.sendAll('b', 'c', 'd');

    expect(states(sends)).toEqual({ b: 'pending', c: 'pending', d: 'BUFFER_FULL' });
  });

  it('is not needed while the window has room', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 100, maxBuffered: 1 });
    await bench.sendAll('first');
    const sends = await bench.sendAll(...Array.from({ length: 50 }, (_, index) => String(index)));

    expect(new Set(Object.values(states(sends)))).toEqual(new Set(['pending']));
    expect(bench.channel.published).toHaveLength(51);
  });

  it('holds 64 MiB, whatever the number', async () => {
    const bench = new PublisherBench();
    const sends = Object.fromEntries(
      ['a', 'b', 'c', 'd'].map((id) => [id, bench.send(id, { bodyBytes: 20 * MIB })]),
    );
    const small = bench.send('small');
    await turn();

    expect(states(sends)).toEqual({ a: 'pending', b: 'pending', c: 'pending', d: 'BUFFER_FULL' });
    expect(small.state).toBe('pending');
  });

  it('takes one message that is larger than that, when nothing else waits', async () => {
    const bench = new PublisherBench();
    const large = bench.send('large', { bodyBytes: 65 * MIB });
    const next = bench.send('next');
    await turn();

    expect(states({ large, next })).toEqual({ large: 'pending', next: 'BUFFER_FULL' });
  });

  it('has room again when something is settled', async () => {
    const bench = new PublisherBench({ maxBuffered: 1 });
    bench.send('a', { timeoutMs: 100 });
    const full = bench.send('b');
    await bench.clock.pass(200);
    const later = bench.send('c');
    await turn();

    expect(states({ full, later })).toEqual({ full: 'BUFFER_FULL', later: 'pending' });
  });

  it('has room again when what waited is published', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 1, maxBuffered: 1 });
    await bench.sendAll('a');
    await bench.sendAll('b');
    bench.channel.confirm(1);
    const { c } = await bench.sendAll('c');

    expect(c?.state).toBe('pending');
  });

  it('says why nothing leaves it: the server blocks publishing', async () => {
    const bench = PublisherBench.connected({ maxBuffered: 1 });
    bench.link.block('low on memory');
    await bench.sendAll('a');
    const { b } = await bench.sendAll('b');

    expect(b?.error).toMatchObject({
      message: expect.stringContaining('(the server blocks publishing: low on memory)'),
    });
  });

  it('says why nothing leaves it: there is no connection', async () => {
    const bench = PublisherBench.connected({ maxBuffered: 1 });
    bench.connection.lose(new Error('connection refused'));
    await bench.sendAll('a');
    const { b } = await bench.sendAll('b');

    expect(b?.error).toMatchObject({ message: expect.stringContaining('(connection refused)') });
  });

  it('takes what comes back from a lost channel, though it was full', async () => {
    const bench = PublisherBench.connected({ maxInFlight: 2, maxBuffered: 1 });
    await bench.sendAll('first');
    bench.channel.confirm(1);
    const sends = await bench.sendAll('a', 'b', 'c');
    bench.connection.lose();
    await turn();

    expect(states(sends)).toEqual({ a: 'pending', b: 'pending', c: 'pending' });
    expect(bench.publisher.pending).toBe(3);
  });
});
