import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DuplicateFilter } from '../../../../src/consumer/delivery/duplicate-filter.js';
import type { Delivery } from '../../../../src/transport/port.js';
import { delivery } from '../../support/deliveries.js';
import { FakeClock } from '../../support/fake-clock.js';

const ATTEMPTS = 2;

/** A message, or a copy of it for another attempt, in the queue or with a consumer. */
interface Copy {
  readonly id: string;
  readonly attempt: number;
  /** Which of its replays it is; 0: none. */
  readonly replay: number;
  readonly redelivered: boolean;
}

interface Consumer {
  readonly filter: DuplicateFilter;
  running: Copy[];
  /** Acknowledged, and the server may not know it yet. */
  acknowledged: Copy[];
}

const actions = ['send', 'deliver', 'succeed', 'fail', 'requeue', 'arrive', 'lose', 'replay'] as const;
type Action = (typeof actions)[number];

/** A queue, its dead letters, and consumers that lose their connections. */
class World {
  readonly handled = new Set<string>();
  readonly #clock = new FakeClock();
  readonly #consumers: readonly Consumer[];
  #ready: Copy[] = [];
  #dead: Copy[] = [];
  #sent = 0;
  #replays = 0;

  constructor(consumers: number) {
    this.#consumers = Array.from({ length: consumers }, () => ({
      filter: new DuplicateFilter({ capacity: 20, windowMs: 30_000, clock: this.#clock }),
      running: [],
      acknowledged: [],
    }));
  }

  get sent(): readonly string[] {
    return Array.from({ length: this.#sent }, (_, at) => `${at}`);
  }

  perform(action: Action, which: number): void {
    const consumer = this.#consumers[which % this.#consumers.length] as Consumer;
    const { filter, running, acknowledged } = consumer;
    if (action === 'send')
      this.#ready.push({ id: `${this.#sent++}`, attempt: 1, replay: 0, redelivered: false });
    if (action === 'deliver') {
      const copy = this.#ready.shift();
      if (!copy) return;
      if (filter.recognises(deliveryOf(copy))) this.#acknowledge(consumer, copy, true);
      else running.push(copy);
    }
    if (action === 'succeed' || action === 'fail' || action === 'requeue') {
      const [copy] = running.splice(which % Math.max(1, running.length), 1);
      if (copy) this.#settle(consumer, copy, action);
    }
    if (action === 'arrive') consumer.acknowledged = acknowledged.slice(which);
    if (action === 'lose') {
      filter.channelLost(running.map(deliveryOf));
      this.#giveBack([...acknowledged, ...running]);
      consumer.running = [];
      consumer.acknowledged = [];
      filter.channelOpened();
    }
    if (action === 'replay') {
      const letter = this.#dead.shift();
      if (letter) this.#ready.push({ ...letter, attempt: 1, replay: ++this.#replays, redelivered: false });
    }
  }

  /** Every message is handled in the end, by one consumer or another. */
  finish(): void {
    while (this.#dead.length > 0) this.perform('replay', 0);
    for (const [at, { running }] of this.#consumers.entries())
      for (const _ of [...running]) this.perform('succeed', at);
    for (let at = 0; this.#ready.length > 0; at++) {
      this.perform('deliver', at);
      this.perform('succeed', at);
    }
  }

  #settle(consumer: Consumer, copy: Copy, action: 'succeed' | 'fail' | 'requeue'): void {
    const isLast = copy.attempt === ATTEMPTS;
    if (action === 'requeue') {
      this.#giveBack([copy]);
      return;
    }
    if (action === 'succeed') this.handled.add(copy.id);
    else if (isLast) this.#dead.push(copy);
    else this.#ready.push({ ...copy, attempt: copy.attempt + 1, redelivered: false });
    this.#acknowledge(consumer, copy, action === 'succeed' || isLast);
  }

  #acknowledge({ filter, acknowledged }: Consumer, copy: Copy, isDone: boolean): void {
    acknowledged.push(copy);
    if (isDone) filter.acked(deliveryOf(copy));
  }

  #giveBack(copies: readonly Copy[]): void {
    this.#ready.unshift(...copies.map((copy) => ({ ...copy, redelivered: true })));
  }
}

function deliveryOf({ id, attempt, replay, redelivered }: Copy): Delivery {
  const headers = {
    ...(attempt > 1 && { 'leveret-attempt': attempt }),
    ...(replay > 0 && { 'leveret-replayed': `${replay}` }),
  };
  return delivery({ redelivered, properties: { messageId: id, timestamp: 1, headers } });
}

describe('the memory of acknowledgements', () => {
  it.each([1, 2])(
    'never takes a message that no handler has finished with for one that was (consumers: %i)',
    (consumers) => {
      const history = fc.array(fc.tuple(fc.constantFrom(...actions), fc.nat({ max: 5 })), {
        minLength: 50,
        maxLength: 150,
        size: 'max',
      });
      fc.assert(
        fc.property(history, (steps) => {
          const world = new World(consumers);
          for (const [action, which] of steps) world.perform(action, which);
          world.finish();
          expect([...world.handled].toSorted()).toEqual([...world.sent].toSorted());
        }),
        { numRuns: 20_000 },
      );
    },
  );
});
