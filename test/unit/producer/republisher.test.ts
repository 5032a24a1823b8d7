import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { queue } from '../../../src/contracts/queue.js';
import { UnroutableError } from '../../../src/errors.js';
import { Republisher } from '../../../src/producer/republisher.js';
import { received } from '../support/deliveries.js';
import { turn } from '../support/fake-clock.js';
import { PublisherBench } from '../support/publisher.js';
import { type Tracked, track } from '../support/track.js';

const emails = queue('emails', z.any());
const failedAt = new Date(0);
const body = Buffer.from('{"to":"ada"}');

let bench: PublisherBench;
let republisher: Republisher;

beforeEach(() => {
  bench = PublisherBench.connected({ contract: undefined });
  republisher = new Republisher(bench.publisher, bench.connection.asConnection, () => {});
});

const message = (headers = {}, messageId = 'm1') =>
  received({ content: body, properties: { messageId, headers } });

async function deadLetter(one = message(), contract = emails): Promise<Tracked<void>> {
  const published = track(republisher.deadLetter(one, contract, new Error('boom'), failedAt));
  await turn();
  return published;
}

/** The server gives the copy back: its queue is gone. */
async function giveBack(tag: number): Promise<void> {
  bench.channel.giveBack(bench.channel.published[tag - 1]);
  bench.channel.confirm(tag);
  await turn();
}

const declarations = () => bench.link.requests.filter((it) => it.startsWith('declare'));

describe('a copy of a message', () => {
  it('for the dead-letter queue is published, and nothing more once it is confirmed', async () => {
    const published = await deadLetter();
    const before = published.state;
    bench.channel.confirm(1);
    await turn();

    expect({ before, state: published.state }).toEqual({ before: 'pending', state: 'resolved' });
    expect(bench.channel.published).toMatchObject([
      { routingKey: 'emails.dead', content: body, properties: { messageId: 'm1' } },
    ]);
    expect(declarations()).toEqual([]);
  });

  it('for another attempt goes to its own queue', async () => {
    const published = track(republisher.retry(message({ tenant: 'a' }), emails, undefined));
    await turn();
    bench.channel.confirm(1);
    await turn();

    expect(published.state).toBe('resolved');
    expect(bench.channel.published).toMatchObject([
      {
        routingKey: 'emails',
        properties: { messageId: 'm1', headers: { tenant: 'a', 'leveret-attempt': 2 } },
      },
    ]);
  });

  it('is published once more after its dead-letter queue was declared again', async () => {
    const published = await deadLetter();
    await giveBack(1);
    bench.channel.confirm(2);
    await turn();

    expect(declarations()).toEqual(['declare queue emails.dead']);
    expect({ state: published.state, ids: bench.channel.ids }).toEqual({
      state: 'resolved',
      ids: ['m1', 'm1'],
    });
  });

  it('fails when it comes back a second time', async () => {
    const published = await deadLetter();
    await giveBack(1);
    await giveBack(2);

    expect(published.error).toBeInstanceOf(UnroutableError);
  });

  it('fails at once where there is no queue to declare', async () => {
    const published = await deadLetter(message(), queue('emails', z.any(), { deadLetter: false }));
    await giveBack(1);

    expect(published.error).toBeInstanceOf(UnroutableError);
    expect(declarations()).toEqual([]);
  });

  it('fails when the server goes on refusing it: the message has to stay where it is', async () => {
    const published = await deadLetter();
    for (let n = 0; n < 10 && published.state === 'pending'; n++) {
      const { channel } = bench;
      if (channel.ids.length > 0) channel.refuse(channel.ids.length);
      await bench.clock.pass(2_000);
    }

    expect(published.error).toMatchObject({ code: 'REJECTED' });
  });

  it('fails after half a minute without an answer', async () => {
    const published = await deadLetter();
    await bench.clock.pass(31_000);

    expect(published.error).toMatchObject({ code: 'TIMEOUT' });
  });

  it("goes without its sender's headers when they cannot be encoded, and says so", async () => {
    await deadLetter(message({}, 'first'));
    bench.channel.onPublish = ({ properties }) => {
      if (properties.headers && 'odd' in properties.headers) throw new TypeError('unknown type of header');
    };
    const published = await deadLetter(message({ odd: { '!': 'odd', value: 1 } }));
    bench.channel.confirm(2, { multiple: true });
    await turn();

    expect(published.state).toBe('resolved');
    expect(bench.channel.published[1]).toMatchObject({
      properties: {
        messageId: 'm1',
        headers: { 'leveret-headers-dropped': true, 'leveret-error': 'Error: boom' },
      },
    });
  });

  it('of two messages with one id goes out one after the other', async () => {
    await deadLetter();
    await deadLetter();
    const before = bench.channel.published.length;
    bench.channel.confirm(1);

    expect({ before, after: bench.channel.published.length }).toEqual({ before: 1, after: 2 });
  });
});
