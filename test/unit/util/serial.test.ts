import { describe, expect, it } from 'vitest';
import { deferred } from '../../../src/util/promises.js';
import { Serial } from '../../../src/util/serial.js';
import { turn } from '../support/fake-clock.js';
import { track } from '../support/track.js';

describe('commands that run one at a time', () => {
  it('begin in the order of the calls, each when the one before has settled', async () => {
    const serial = new Serial();
    const begun: string[] = [];
    const first = deferred<string>();
    const command = (name: string, answer: Promise<string>) => () => {
      begun.push(name);
      return answer;
    };
    const results = [
      track(serial.run(command('first', first.promise))),
      track(serial.run(command('second', Promise.resolve('2')))),
    ];
    await turn();
    const before = [...begun];
    first.resolve('1');
    await turn();

    expect({ before, begun, values: results.map(({ value }) => value) }).toEqual({
      before: ['first'],
      begun: ['first', 'second'],
      values: ['1', '2'],
    });
  });

  it.each<[string, () => Promise<never>]>([
    ['rejects', () => Promise.reject(new Error('refused'))],
    [
      'throws',
      () => {
        throw new Error('refused');
      },
    ],
  ])('go on after one that %s', async (_, fail) => {
    const serial = new Serial();
    const failed = track(serial.run(fail));
    const next = track(serial.run(() => Promise.resolve('done')));
    await turn();

    expect({ failed: failed.state, next: next.value }).toEqual({ failed: 'rejected', next: 'done' });
  });
});
