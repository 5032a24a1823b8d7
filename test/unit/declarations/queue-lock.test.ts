import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { queue } from '../../../src/contracts/queue.js';
import { ChannelAllowance } from '../../../src/declarations/channel-pool.js';
import { declarerOf, serialiseDeclarations } from '../../../src/declarations/declarer.js';
import { QueueDeclarationLock } from '../../../src/declarations/queue-lock.js';
import { TransportError } from '../../../src/transport/port.js';
import { FakeClock, turn } from '../support/fake-clock.js';
import { FakeLink } from '../support/fake-link.js';
import { track } from '../support/track.js';

const emails = queue('emails', z.any(), { deadLetter: false });
const orders = queue('orders', z.any(), { deadLetter: false });

let clock: FakeClock;
let log: string[];
let publish: FakeLink;
let consume: FakeLink;
/** The answers of the server that are still to come on the link that publishes. */
let answers: { resolve: () => void; reject: (error: Error) => void }[];

beforeEach(() => {
  clock = new FakeClock();
  log = [];
  answers = [];
  [publish, consume] = [new FakeLink(), new FakeLink()];
  const turns = new QueueDeclarationLock(clock);
  for (const link of [publish, consume]) serialiseDeclarations(link, turns, new ChannelAllowance());
  publish.onRequest = (request) => {
    if (!request.startsWith('declare')) return;
    log.push(`publish: ${request}`);
    return new Promise<void>((resolve, reject) => void answers.push({ resolve, reject }));
  };
  consume.onRequest = (request) => {
    if (request.startsWith('declare')) log.push(`consume: ${request}`);
  };
});

describe('two links of a broker', () => {
  it('declare the same queue one after the other', async () => {
    const first = track(declarerOf(publish).declare(emails));
    await turn();
    const second = track(declarerOf(consume).declare(emails));
    await turn();
    const before = [...log];
    answers[0]?.resolve();
    await turn();
    await turn();

    expect(before).toEqual(['publish: declare queue emails']);
    expect(log).toEqual(['publish: declare queue emails', 'consume: declare queue emails']);
    expect({ first: first.state, second: second.state }).toEqual({ first: 'resolved', second: 'resolved' });
    expect(clock.armed).toBe(0);
  });

  it('do not wait for each other with different queues', async () => {
    void declarerOf(publish).declare(orders);
    await turn();
    const other = track(declarerOf(consume).declare(emails));
    await turn();

    expect(other.state).toBe('resolved');
  });

  it('do not care whether the other was refused', async () => {
    const first = track(declarerOf(publish).declare(emails));
    await turn();
    const second = track(declarerOf(consume).declare(emails));
    await turn();
    answers[0]?.reject(new TransportError('no right to'));
    await turn();
    await turn();

    expect({ first: first.state, second: second.state }).toEqual({ first: 'rejected', second: 'resolved' });
    expect(clock.armed).toBe(0);
  });

  it('wait a second at most for one that says nothing', async () => {
    void track(declarerOf(publish).declare(emails));
    await turn();
    const second = track(declarerOf(consume).declare(emails));
    await clock.pass(999);
    const before = second.state;
    await clock.pass(1);
    await turn();

    expect({ before, state: second.state }).toEqual({ before: 'pending', state: 'resolved' });
  });
});
