import { describe, expect, it } from 'vitest';
import { turn } from '../../support/fake-clock.js';
import { PublisherBench, states } from '../../support/publisher.js';

/** Refuses everything that is published and not answered, in one go. */
function refuseAll(bench: PublisherBench): void {
  bench.channel.refuse(bench.channel.published.length, { multiple: true });
}

describe('a refusal by a queue that no contract limits', () => {
  it('is final when the queue has taken a message of this channel', async () => {
    const bench = PublisherBench.connected();
    const sends = await bench.sendAll('a', 'b');
    bench.channel.confirm(1);
    bench.channel.refuse(2);
    await turn();
    expect(states(sends)).toEqual({ a: 'resolved', b: 'REJECTED' });
    expect(bench.link.requests).not.toContain('check queue emails');
  });

  it('is final when the queue holds messages: it has a leader', async () => {
    const bench = PublisherBench.connected();
    const sends = await bench.sendAll('a', 'b');
    bench.link.messages = 5;
    refuseAll(bench);
    await turn();
    const asked = bench.link.requests.filter((it) => it === 'check queue emails').length;
    const later = await bench.sendAll('c');
    bench.channel.refuse(3);
    await turn();
    expect({ ...states({ ...sends, ...later }), asked }).toEqual({
      a: 'REJECTED',
      b: 'REJECTED',
      c: 'REJECTED',
      asked: 1,
    });
    expect(bench.link.requests.filter((it) => it === 'check queue emails')).toHaveLength(1);
  });

  it('of one without messages is waited out, in order and with what comes meanwhile', async () => {
    const bench = PublisherBench.connected();
    const sends = await bench.sendAll('a', 'b');
    refuseAll(bench);
    await turn();
    const later = await bench.sendAll('c');
    const before = [...bench.channel.ids];
    await bench.clock.pass(25);
    expect({ before, ids: bench.channel.ids }).toEqual({
      before: ['a', 'b'],
      ids: ['a', 'b', 'a', 'b', 'c'],
    });
    bench.channel.confirm(5, { multiple: true });
    await turn();
    expect(states({ ...sends, ...later })).toEqual({ a: 'resolved', b: 'resolved', c: 'resolved' });
  });

  it('is final after six pauses, and at once from then on', async () => {
    const bench = PublisherBench.connected();
    const sends = await bench.sendAll('a');
    let pauses = 0;
    while (sends.a?.state === 'pending') {
      refuseAll(bench);
      await turn();
      if (sends.a.state !== 'pending') break;
      await bench.clock.pass(25 * 2 ** pauses++);
    }
    const later = await bench.sendAll('b');
    refuseAll(bench);
    await turn();
    expect({ pauses, states: states({ ...sends, ...later }) }).toEqual({
      pauses: 6,
      states: { a: 'REJECTED', b: 'REJECTED' },
    });
  });

  it('holds up the messages for this queue alone', async () => {
    const bench = PublisherBench.connected({ contract: undefined });
    const first = bench.sendTo('one', 'a');
    await turn();
    refuseAll(bench);
    await turn();
    void bench.sendTo('one', 'b');
    void bench.sendTo('two', 'c');
    await turn();
    expect({ state: first.state, ids: bench.channel.ids }).toEqual({ state: 'pending', ids: ['a', 'c'] });
    await bench.clock.pass(25);
    expect(bench.channel.ids).toEqual(['a', 'c', 'a', 'b']);
  });
});
