import { beforeEach, describe, expect, it } from 'vitest';
import { DuplicateFilter } from '../../../../src/consumer/delivery/duplicate-filter.js';
import { delivery } from '../../support/deliveries.js';
import { FakeClock } from '../../support/fake-clock.js';

const body = Buffer.from('{"total":1}');
const other = Buffer.from('{"total":2}');
const MINUTE = 60_000;

let clock: FakeClock;
let memory: DuplicateFilter;

beforeEach(() => {
  clock = new FakeClock();
  memory = new DuplicateFilter(3, clock);
});

/** The channel is lost, with these deliveries unsettled, and the consumer consumes again. */
function reconnect(unsettled: Parameters<DuplicateFilter['channelLost']>[0] = []): void {
  memory.channelLost(unsettled);
  memory.channelOpened();
}

describe('the memory of acknowledgements', () => {
  it('recognises a message whose acknowledgement was lost with its channel', () => {
    memory.acked('a', body);
    reconnect();

    expect(memory.recognises('a', body)).toBe(true);
  });

  it('recognises it once for each acknowledgement', () => {
    memory.acked('a', body);
    memory.acked('a', body);
    reconnect();

    const recognised = [1, 2, 3].map(() => memory.recognises('a', body));

    expect(recognised).toEqual([true, true, false]);
  });

  it('recognises nothing while the channel lives', () => {
    memory.acked('a', body);

    expect(memory.recognises('a', body)).toBe(false);
  });

  it('does not take another body with the same id for the same message', () => {
    memory.acked('a', body);
    reconnect();

    expect(memory.recognises('a', other)).toBe(false);
  });

  it('does not take another id with the same body for the same message', () => {
    memory.acked('a', body);
    reconnect();

    expect(memory.recognises('b', body)).toBe(false);
  });

  it('knows nothing of messages without an id', () => {
    memory.acked(undefined, body);
    memory.stale(undefined, body);
    reconnect();

    expect(memory.recognises(undefined, body)).toBe(false);
    expect(memory.recognises('undefined', body)).toBe(false);
  });

  it('remembers as many as can be on their way: the prefetch', () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) memory.acked(id, body);
    reconnect();

    const recognised = ['a', 'b', 'c', 'd', 'e'].filter((id) => memory.recognises(id, body));

    expect(recognised).toEqual(['c', 'd', 'e']);
  });

  it('begins anew on each channel', () => {
    for (const id of ['a', 'b']) memory.acked(id, body);
    reconnect();
    for (const id of ['c', 'd', 'e', 'f']) memory.acked(id, body);
    reconnect();

    const recognised = ['a', 'b', 'c', 'd', 'e', 'f'].filter((id) => memory.recognises(id, body));

    expect(recognised).toEqual(['a', 'b', 'd', 'e', 'f']);
  });

  it('recognises a success that came after its channel was lost', () => {
    reconnect();
    memory.stale('a', body);

    expect([memory.recognises('a', body), memory.recognises('a', body)]).toEqual([true, false]);
  });

  it('recognises a success that came between the loss and the next channel', () => {
    memory.channelLost([]);
    memory.stale('a', body);
    memory.channelOpened();

    expect(memory.recognises('a', body)).toBe(true);
  });

  it('forgets ten minutes after the consumer consumes again', () => {
    memory.acked('a', body);
    memory.acked('b', body);
    reconnect();
    clock.advance(10 * MINUTE - 1);
    const before = memory.recognises('a', body);
    clock.advance(1);

    expect([before, memory.recognises('b', body)]).toEqual([true, false]);
  });

  it('forgets nothing while it is disconnected', () => {
    memory.acked('a', body);
    memory.channelLost([]);
    clock.advance(600 * MINUTE);
    memory.channelOpened();

    expect(memory.recognises('a', body)).toBe(true);
  });

  it('counts the ten minutes from the first channel after the loss', () => {
    memory.acked('a', body);
    reconnect();
    clock.advance(9 * MINUTE);
    reconnect();
    clock.advance(2 * MINUTE);

    expect(memory.recognises('a', body)).toBe(false);
  });

  it('remembers a bounded number of lost channels', () => {
    for (let channel = 0; channel < 40; channel++) {
      memory.acked(String(channel), body);
      memory.channelLost([]);
    }
    memory.channelOpened();

    const recognised = Array.from({ length: 40 }, (_, channel) => memory.recognises(String(channel), body));

    expect(recognised.filter(Boolean)).toHaveLength(16);
    expect(recognised.at(-1)).toBe(true);
  });

  describe('with two messages that have one id and one body', () => {
    it('recognises neither when one of them was not acknowledged, so that it is not lost', () => {
      memory.acked('a', body);
      reconnect([delivery({ properties: { messageId: 'a' }, content: body })]);

      expect(memory.recognises('a', body)).toBe(false);
    });

    it('recognises neither once another one has come for the first time', () => {
      memory.acked('a', body);
      reconnect();
      memory.isNew('a', body);

      expect(memory.recognises('a', body)).toBe(false);
    });

    it('keeps what it knows of the others', () => {
      memory.acked('a', body);
      memory.acked('b', body);
      reconnect([delivery({ properties: { messageId: 'a' }, content: body }), delivery({ content: body })]);
      memory.isNew(undefined, body);

      expect(memory.recognises('b', body)).toBe(true);
    });
  });
});
