import { beforeEach, describe, expect, it } from 'vitest';
import { DuplicateFilter } from '../../../../src/consumer/delivery/duplicate-filter.js';
import type { Delivery } from '../../../../src/transport/port.js';
import { delivery } from '../../support/deliveries.js';
import { FakeClock } from '../../support/fake-clock.js';

const MINUTE = 60_000;
const WINDOW = 30_000;

let clock: FakeClock;
let duplicates: DuplicateFilter;

beforeEach(() => {
  clock = new FakeClock();
  duplicates = new DuplicateFilter({ capacity: 3, windowMs: WINDOW, clock });
});

interface Overrides {
  readonly body?: string | Buffer;
  readonly headers?: Record<string, unknown>;
  readonly timestamp?: number;
}

function message(
  messageId: string | undefined,
  { body = 'body', headers = {}, timestamp = 1 }: Overrides = {},
): Delivery {
  return delivery({ properties: { messageId, headers, timestamp }, content: Buffer.from(body as string) });
}

/** It comes for the first time, and is acknowledged. */
function handle(id: string | undefined, overrides?: Overrides): void {
  duplicates.recognises(message(id, overrides));
  duplicates.acked(message(id, overrides));
}

/** It comes again. */
const comesBack = (id: string | undefined, overrides?: Overrides) =>
  duplicates.recognises({ ...message(id, overrides), redelivered: true });

/** The channel is lost, with these deliveries unsettled, and the consumer consumes again. */
function reconnect(...unsettled: Delivery[]): void {
  duplicates.channelLost(unsettled);
  duplicates.channelOpened();
}

describe('the memory of acknowledgements', () => {
  it('recognises a message whose acknowledgement was lost with its channel, once', () => {
    handle('a');
    reconnect();

    expect({ first: comesBack('a'), again: comesBack('a') }).toEqual({ first: true, again: false });
  });

  it('recognises nothing while the channel lives', () => {
    handle('a');

    expect(comesBack('a')).toBe(false);
  });

  it.each<[string, Overrides]>([
    ['body', { body: 'other' }],
    ['header', { headers: { tenant: 'b' } }],
    ['timestamp', { timestamp: 2 }],
  ])('does not take a message with another %s for the same', (_, overrides) => {
    handle('a');
    reconnect();

    expect(comesBack('a', overrides)).toBe(false);
    expect(comesBack('a')).toBe(true);
  });

  it('passes over what the server has added to the headers', () => {
    handle('a', { headers: { tenant: 'a' } });
    reconnect();

    expect(comesBack('a', { headers: { tenant: 'a', 'x-delivery-count': 1, 'x-acquired-count': 2 } })).toBe(
      true,
    );
  });

  it('tells the copy for another attempt from its original, which has the same id', () => {
    const copy = { headers: { 'leveret-attempt': 2 } };
    duplicates.recognises(message('a'));
    handle('a', copy);
    reconnect();

    expect({ original: comesBack('a'), copy: comesBack('a', copy) }).toEqual({ original: false, copy: true });
  });

  it('does not take another id with the same body for the same message', () => {
    handle('a');
    reconnect();

    expect(comesBack('b')).toBe(false);
  });

  it('knows nothing of messages without an id', () => {
    handle(undefined);
    duplicates.stale(message(undefined));
    reconnect();

    expect({ none: comesBack(undefined), undefined: comesBack('undefined'), empty: comesBack('') }).toEqual({
      none: false,
      undefined: false,
      empty: false,
    });
  });

  it('remembers as many as can be on their way: the prefetch', () => {
    for (const id of ['a', 'b', 'c', 'd', 'e']) handle(id);
    reconnect();

    expect(['a', 'b', 'c', 'd', 'e'].filter((id) => comesBack(id))).toEqual(['c', 'd', 'e']);
  });

  it('knows nothing of what was acknowledged longer ago than a loss can go unnoticed', () => {
    handle('a');
    clock.advance(1);
    handle('b');
    clock.advance(WINDOW);
    reconnect();

    expect({ a: comesBack('a'), b: comesBack('b') }).toEqual({ a: false, b: true });
  });

  it('keeps no more than 4 MiB of bodies alive, but for the last', () => {
    const body = Buffer.alloc(3 * 1024 * 1024);
    handle('a', { body });
    handle('b', { body });
    reconnect();

    expect({ a: comesBack('a', { body }), b: comesBack('b', { body }) }).toEqual({ a: false, b: true });
  });

  it('begins anew on each channel', () => {
    for (const id of ['a', 'b']) handle(id);
    reconnect();
    for (const id of ['c', 'd', 'e', 'f']) handle(id);
    reconnect();

    expect(['a', 'b', 'c', 'd', 'e', 'f'].filter((id) => comesBack(id))).toEqual(['a', 'b', 'd', 'e', 'f']);
  });

  it('recognises a success that came after its channel was lost, whenever that was', () => {
    duplicates.channelLost([message('a')]);
    duplicates.stale(message('a'));
    duplicates.channelOpened();
    duplicates.stale(message('b'));

    expect({ a: comesBack('a'), aAgain: comesBack('a'), b: comesBack('b') }).toEqual({
      a: true,
      aAgain: false,
      b: true,
    });
  });

  it('recognises again what it has recognised, when that acknowledgement is lost too', () => {
    handle('a');
    reconnect();
    comesBack('a');
    duplicates.acked({ ...message('a'), redelivered: true });
    reconnect();

    expect(comesBack('a')).toBe(true);
  });

  it('forgets ten minutes after the consumer consumes again', () => {
    for (const id of ['a', 'b']) handle(id);
    reconnect();
    clock.advance(10 * MINUTE - 1);
    const before = comesBack('a');
    clock.advance(1);

    expect({ before, after: comesBack('b') }).toEqual({ before: true, after: false });
  });

  it('forgets nothing while it is disconnected', () => {
    handle('a');
    duplicates.channelLost([]);
    clock.advance(600 * MINUTE);
    duplicates.channelOpened();

    expect(comesBack('a')).toBe(true);
  });

  it('counts the ten minutes from the first channel after the loss', () => {
    handle('a');
    reconnect();
    clock.advance(9 * MINUTE);
    reconnect();
    clock.advance(2 * MINUTE);

    expect(comesBack('a')).toBe(false);
  });

  it('remembers a bounded number of lost channels', () => {
    const all = Array.from({ length: 40 }, (_, channel) => String(channel));
    for (const id of all) {
      handle(id);
      duplicates.channelLost([]);
    }
    duplicates.channelOpened();

    expect(all.filter((id) => comesBack(id))).toEqual(all.slice(-16));
  });
});

describe('the memory of acknowledgements, of messages that have one id', () => {
  it('recognises none of those that were acknowledged: another consumer may have had one more', () => {
    handle('a');
    handle('a');
    reconnect();

    expect(comesBack('a')).toBe(false);
  });

  it('recognises none when they differ', () => {
    handle('a', { body: 'one' });
    handle('a', { body: 'two' });
    reconnect();

    expect({ one: comesBack('a', { body: 'one' }), two: comesBack('a', { body: 'two' }) }).toEqual({
      one: false,
      two: false,
    });
  });

  it('recognises none when another one was acknowledged long before', () => {
    handle('a');
    for (let n = 0; n < 10; n++) handle(`other-${n}`);
    handle('a');
    reconnect();

    expect(comesBack('a')).toBe(false);
  });

  it('recognises none when one of them was not acknowledged, so that it is not lost', () => {
    handle('a');
    reconnect(message('a'));

    expect(comesBack('a')).toBe(false);
  });

  it('recognises no late success when another one was at work too', () => {
    duplicates.channelLost([message('a'), message('a')]);
    duplicates.stale(message('a'));
    duplicates.channelOpened();

    expect(comesBack('a')).toBe(false);
  });

  it('recognises none once another one has come for the first time', () => {
    handle('a');
    reconnect();
    duplicates.recognises(message('a'));

    expect(comesBack('a')).toBe(false);
  });

  it('keeps what it knows of the others', () => {
    handle('a');
    handle('b');
    reconnect(message('a'), message(undefined));
    duplicates.recognises(message(undefined));

    expect(comesBack('b')).toBe(true);
  });

  describe('and are retried', () => {
    const copy = { headers: { 'leveret-attempt': 2 } };

    it('recognises no copy of either: the other one may have been delivered to no one', () => {
      duplicates.recognises(message('a'));
      duplicates.recognises(message('a'));
      handle('a', copy);
      reconnect();

      expect(comesBack('a', copy)).toBe(false);
    });

    it('recognises no copy when one of them was not acknowledged', () => {
      duplicates.recognises(message('a'));
      handle('a', copy);
      reconnect(message('a'), message('a'));

      expect(comesBack('a', copy)).toBe(false);
    });

    it('recognises no late success of a copy', () => {
      duplicates.channelLost([message('a'), message('a'), message('a', copy)]);
      duplicates.stale(message('a', copy));
      duplicates.channelOpened();

      expect(comesBack('a', copy)).toBe(false);
    });

    it('recognises no copy once another one has come for the first time, such as a dead letter that was replayed', () => {
      handle('a');
      handle('a', copy);
      reconnect();
      duplicates.recognises(message('a'));

      expect({ original: comesBack('a'), copy: comesBack('a', copy) }).toEqual({
        original: false,
        copy: false,
      });
    });

    it('still recognises the original once its copy has come', () => {
      handle('a');
      reconnect();
      duplicates.recognises(message('a', copy));

      expect(comesBack('a')).toBe(true);
    });
  });
});
