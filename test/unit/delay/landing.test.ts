import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Landing } from '../../../src/delay/landing.js';
import { LandingChannel } from '../../../src/delay/landing-channel.js';
import { DELIVER, HELD, LANDED, landingOf } from '../../../src/delay/topology.js';
import { FakeClock, turn } from '../support/fake-clock.js';
import { type FakeChannel, FakeLink } from '../support/fake-link.js';

const target = { kind: 'queue', name: 'emails' } as const;

let clock: FakeClock;
let link: FakeLink;
let over: AbortController;
let landing: Landing;
let channel: LandingChannel;
let canHold: boolean;
let isEmpty: boolean;

beforeEach(async () => {
  clock = new FakeClock();
  link = new FakeLink();
  over = new AbortController();
  canHold = true;
  isEmpty = false;
  channel = await LandingChannel.open(link, clock);
  landing = new Landing({
    target,
    channel,
    clock,
    signal: over.signal,
    isEmpty: async () => isEmpty,
    declareHeld: async () => {
      if (!canHold) throw new Error('may not declare');
    },
  });
  await landing.start();
});
afterEach(() => over.abort());

const wire = (): FakeChannel => link.publisher;
const places = () => wire().published.map(({ exchange }) => exchange);

async function lands(...tags: number[]): Promise<void> {
  for (const deliveryTag of tags) {
    const delivery = {
      deliveryTag,
      redelivered: false,
      exchange: DELIVER,
      routingKey: 'emails',
      properties: { messageId: `m-${deliveryTag}`, headers: {} },
      content: Buffer.from('1'),
      problem: undefined,
    };
    wire().deliver(delivery, landingOf(target));
  }
  await turn();
}

async function answered(tag: number, accepted: boolean): Promise<void> {
  if (accepted) wire().confirm(tag);
  else wire().refuse(tag);
  await turn();
}

describe('a landing that is open', () => {
  it('sends on what lands, and acknowledges it when its queue has it', async () => {
    await lands(1, 2);
    expect(places()).toEqual([LANDED, LANDED]);
    expect(wire().settled).toEqual([]);
    wire().confirm(2, { multiple: true });
    await turn();
    expect(wire().settled).toEqual(['ack 1', 'ack 2']);
  });

  it('leaves to the server what no binding leads on', async () => {
    await lands(1);
    wire().giveBack(wire().published[0]);
    await answered(1, true);
    expect(wire().settled).toEqual(['nack 1 requeue']);
  });

  it('holds what is refused', async () => {
    await lands(1);
    await answered(1, false);
    expect(places()).toEqual([LANDED, HELD]);
    await answered(2, true);
    expect(wire().settled).toEqual(['ack 1']);
  });
});

describe('a landing whose queue refuses', () => {
  it('holds what lands at once', async () => {
    await lands(1);
    await answered(1, false);
    await lands(2);
    expect(places()).toEqual([LANDED, HELD, HELD]);
  });

  it('tries one that waits after a pause where nothing can be held, and all when it is taken', async () => {
    canHold = false;
    await lands(1);
    await answered(1, false);
    await lands(2);
    expect(places()).toEqual([LANDED]);
    await clock.pass(25);
    expect(places()).toEqual([LANDED, LANDED]);
    await answered(2, true);
    expect(places()).toEqual([LANDED, LANDED, LANDED]);
    await answered(3, true);
    expect(wire().settled).toEqual(['ack 1', 'ack 2']);
  });

  it('is open again after the pause when none waits', async () => {
    await lands(1);
    await answered(1, false);
    await clock.pass(25);
    await lands(2);
    expect(places()).toEqual([LANDED, HELD, LANDED]);
  });

  it('gets another channel when the queue is empty all the same', async () => {
    canHold = false;
    await lands(1);
    await answered(1, false);
    for (let tag = 2; wire().isOpen && tag < 100; tag++) {
      await clock.pass(1_000);
      if (tag === 30) isEmpty = true;
      await answered(tag, false);
    }
    expect(isEmpty).toBe(true);
    expect(wire().isOpen).toBe(false);
    expect(wire().settled).toEqual([]);
  });
});

describe('a landing that stops', () => {
  it('first finds a place for everything that has landed', async () => {
    await lands(1, 2);
    let isStopped = false;
    void landing.stop().then(() => {
      isStopped = true;
    });
    await answered(1, false);
    await answered(2, false);
    expect(places()).toEqual([LANDED, LANDED, HELD, HELD]);
    expect(isStopped).toBe(false);
    await answered(3, true);
    await answered(4, true);
    expect(wire().settled).toEqual(['ack 1', 'ack 2']);
    expect(isStopped).toBe(true);
  });

  it('does not wait for a message that can be held nowhere', async () => {
    canHold = false;
    await lands(1);
    await answered(1, false);
    await landing.stop();
    expect(wire().settled).toEqual([]);
  });
});

describe('a message whose confirm does not come', () => {
  it('costs the channel after half a minute, so that it comes again', async () => {
    await lands(1);
    await clock.pass(29_999);
    expect(channel.isOpen).toBe(true);
    await clock.pass(1);
    expect(channel.isOpen).toBe(false);
  });

  it('costs nothing while an alarm holds every answer back, or later ones are answered', async () => {
    link.block('memory');
    await lands(1);
    await clock.pass(30_000);
    link.block(undefined);
    await answered(1, true);
    await lands(2);
    await clock.pass(20_000);
    await answered(2, true);
    await lands(3);
    await clock.pass(20_000);
    expect(channel.isOpen).toBe(true);
  });
});
