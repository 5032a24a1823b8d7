import { describe, expect, it } from 'vitest';
import {
  ChannelSlots,
  type Slot,
  type SlotHolder,
} from '../../../../src/producer/publisher/channel-slots.js';
import { FakeClock, turn } from '../../support/fake-clock.js';

/** A producer that gives its channel back when it is asked to. */
class Holder implements SlotHolder {
  idleSince: number | undefined;
  slot: Slot | undefined;
  readonly #slots: ChannelSlots;

  constructor(slots: ChannelSlots) {
    this.#slots = slots;
  }

  async acquire(channelMax: number): Promise<void> {
    this.idleSince = undefined;
    this.slot = await this.#slots.acquire(this, channelMax);
  }

  done(now: number): void {
    this.idleSince = now;
    this.#slots.idle(this);
  }

  async giveBack(): Promise<void> {
    this.slot?.release();
    this.slot = undefined;
  }
}

async function holders(slots: ChannelSlots, count: number, channelMax: number): Promise<Holder[]> {
  const all = Array.from({ length: count }, () => new Holder(slots));
  for (const holder of all) void holder.acquire(channelMax);
  await turn();
  return all;
}

const served = (all: readonly Holder[]) => all.map(({ slot }) => slot !== undefined);

describe('the slots for channels', () => {
  it('leave channels of the connection to others', async () => {
    const slots = new ChannelSlots(new FakeClock());
    const all = await holders(slots, 200, 200);
    expect(served(all).filter(Boolean)).toHaveLength(200 - 64);
  });

  it('pass from the one that is idle for longest to the one that waits for longest', async () => {
    const slots = new ChannelSlots(new FakeClock());
    const [first, second, third, fourth] = await holders(slots, 2, 4).then(async (two) => {
      two[1]?.done(1);
      two[0]?.done(2);
      return [...two, ...(await holders(slots, 2, 4))];
    });
    expect(served([first, second, third, fourth] as Holder[])).toEqual([false, false, true, true]);
  });

  it('are passed on as soon as their holder has nothing to send', async () => {
    const slots = new ChannelSlots(new FakeClock());
    const all = await holders(slots, 3, 4);
    const before = served(all);
    all[1]?.done(1);
    await turn();
    expect({ before, after: served(all) }).toEqual({
      before: [true, true, false],
      after: [true, false, true],
    });
  });

  it('are given back after an idle minute, and leave no timer', async () => {
    const clock = new FakeClock();
    const slots = new ChannelSlots(clock);
    const all = await holders(slots, 2, 10);
    all[0]?.done(clock.now());
    await clock.pass(30_000);
    all[1]?.done(clock.now());
    await clock.pass(30_000);
    const after = served(all);
    await clock.pass(30_000);
    expect({ after, later: served(all), armed: clock.armed }).toEqual({
      after: [false, true],
      later: [false, false],
      armed: 0,
    });
  });

  it('are fewer when the server has refused a channel', async () => {
    const slots = new ChannelSlots(new FakeClock());
    const [first, second] = await holders(slots, 2, 100);
    slots.exhausted();
    second?.slot?.release();
    const third = new Holder(slots);
    void third.acquire(100);
    await turn();
    const before = third.slot;
    first?.done(1);
    await turn();
    expect({ before, after: third.slot }).toEqual({ before: undefined, after: expect.anything() });
  });
});
