import { beforeEach, describe, expect, it } from 'vitest';
import { ClosedError, ConfigurationError } from '../../../src/errors.js';
import { sendAll } from '../../../src/producer/send-all.js';
import { turn } from '../support/fake-clock.js';
import { numbers, Sends, slowly } from '../support/sends.js';
import { rejectionOf, track } from '../support/track.js';

let sends: Sends;

beforeEach(() => {
  sends = new Sends();
});

describe('sendAll', () => {
  it('sends what an iterable gives, in order, and counts', async () => {
    const sending = track(sendAll(new Set([1, 2, 3]), sends.send, 10));
    await turn();
    await sends.confirmAll();

    expect(sends.begun).toEqual([1, 2, 3]);
    expect(sending.value).toEqual({ sent: 3, failed: [] });
  });

  it('sends what an async iterable gives', async () => {
    const sending = track(sendAll(slowly(1, 2, 3), sends.send, 10));
    await turn();
    await sends.confirmAll();

    expect({ begun: sends.begun, value: sending.value }).toEqual({
      begun: [1, 2, 3],
      value: { sent: 3, failed: [] },
    });
  });

  it('sends nothing of nothing', async () => {
    expect(await sendAll([], sends.send, 10)).toEqual({ sent: 0, failed: [] });
  });

  it('has no more under way than it may, and takes no more from the iterable', async () => {
    let taken = 0;
    function* source() {
      for (const body of numbers(100)) {
        taken++;
        yield body;
      }
    }
    const sending = track(sendAll(source(), sends.send, 4));
    await turn();
    const atFirst = { taken, begun: sends.begun.length };
    sends.confirm(2);
    await turn();
    const afterOne = { taken, begun: sends.begun.length };
    await sends.confirmAll();

    expect({ atFirst, afterOne }).toEqual({
      atFirst: { taken: 4, begun: 4 },
      afterOne: { taken: 5, begun: 5 },
    });
    expect(sends.most).toBe(4);
    expect(sending.value).toMatchObject({ sent: 100 });
  });

  it('reports each failure with its index, body and error, in the order of the failures', async () => {
    const sending = track(sendAll(['a', 'b', 'c'], sends.send, 10));
    await turn();
    const [full, late] = [new Error('full'), new Error('late')];
    sends.fail('c', full);
    await turn();
    sends.confirm('b');
    sends.fail('a', late);
    await turn();

    expect(sending.value).toEqual({
      sent: 1,
      failed: [
        { index: 2, body: 'c', error: full },
        { index: 0, body: 'a', error: late },
      ],
    });
  });

  it('goes on after failures', async () => {
    const refuse = (body: number) => Promise.reject(new Error(`no ${body}`));
    const { sent, failed } = await sendAll(numbers(20), refuse, 2);

    expect({ sent, failed: failed.length }).toEqual({ sent: 0, failed: 20 });
  });

  it('gives each send its options', async () => {
    const each = (body: string, index: number) => ({ routingKey: `${body}.${index}` });
    const sending = sendAll(['a', 'b'], sends.send, 10, { each });
    await turn();
    await sends.confirmAll();
    await sending;

    expect(sends.options).toEqual([{ routingKey: 'a.0' }, { routingKey: 'b.1' }]);
  });

  it('gives all sends the same options when there is one object', async () => {
    const each = { routingKey: 'all' };
    const sending = sendAll(['a', 'b'], sends.send, 10, { each });
    await turn();
    await sends.confirmAll();
    await sending;

    expect(sends.options).toEqual([each, each]);
  });

  it('counts a body whose options cannot be made as failed', async () => {
    const bug = new Error('a bug');
    const each = (body: string) => {
      if (body === 'b') throw bug;
      return {};
    };
    const sending = track(sendAll(['a', 'b'], sends.send, 10, { each }));
    await turn();
    await sends.confirmAll();

    expect(sending.value).toEqual({ sent: 1, failed: [{ index: 1, body: 'b', error: bug }] });
  });

  it.each([
    ['progress', { progress: () => {} }],
    ['onProgress', { onProgress: 5 }],
    ['signal', { signal: {} }],
    ['each', { each: 'all' }],
  ])('refuses a wrong option %s', async (option, options) => {
    const error = await rejectionOf(sendAll([1], sends.send, 10, options as object));

    expect(error).toBeInstanceOf(ConfigurationError);
    expect(error).toMatchObject({ option });
    expect(sends.begun).toEqual([]);
  });
});

describe('an iterable that throws', () => {
  const bug = new Error('a bug');

  it('ends it with its error, after what was begun is settled', async () => {
    function* source() {
      yield 1;
      yield 2;
      throw bug;
    }
    const sending = track(sendAll(source(), sends.send, 10));
    await turn();
    sends.confirm(1);
    await turn();
    const during = sending.state;
    sends.fail(2, new Error('late'));
    await turn();

    expect({ during, state: sending.state, error: sending.error }).toEqual({
      during: 'pending',
      state: 'rejected',
      error: bug,
    });
  });

  it('ends it also when it is async', async () => {
    async function* source() {
      yield* slowly(1);
      throw bug;
    }
    const sending = track(sendAll(source(), sends.send, 10, { signal: new AbortController().signal }));
    await turn();
    await sends.confirmAll();

    expect(sending.error).toBe(bug);
  });
});

describe('a sendAll whose producer is closed', () => {
  const closed = () => Promise.reject(new ClosedError('closed'));

  it('accounts for every body of a list', async () => {
    const { failed } = await sendAll(numbers(50), closed, 10);

    expect(failed.map(({ index }) => index)).toEqual(numbers(50));
  });

  it('ends although its source does not', async () => {
    function* endless() {
      for (let body = 0; ; body++) yield body;
    }
    const { sent, failed } = await sendAll(endless(), closed, 10);

    expect(sent).toBe(0);
    expect(failed.length).toBeLessThan(100);
  });
});
