import { getEventListeners } from 'node:events';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Broker, queue } from 'leveret';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';

const numbers = queue('numbers', z.object({ n: z.number() }));
const listenersOf = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

/** Collects garbage. */
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

describe('a signal that everything in a program shares', () => {
  let broker: Broker;
  beforeEach(async () => {
    broker = await Broker.connect('memory:');
  });
  afterEach(() => broker.close());

  it('has one listener, however many consumers it closes', async () => {
    const shared = new AbortController();
    const consumers = Array.from({ length: 30 }, () =>
      broker.consumer(numbers, () => undefined, { signal: shared.signal }),
    );
    await Promise.all(consumers.map(({ ready }) => ready));
    expect(listenersOf(shared.signal)).toBe(1);
    shared.abort();
    expect(await Promise.all(consumers.map(({ closed }) => closed))).toEqual(consumers.map(() => undefined));
  });

  it('has none of a consumer that is closed', async () => {
    const { signal } = new AbortController();
    for (let n = 0; n < 3; n++) await broker.consumer(numbers, () => undefined, { signal }).close();
    expect(listenersOf(signal)).toBe(0);
  });

  it('lets go of consumers whose loops were left, and closes those that are still referenced', async () => {
    const shared = new AbortController();
    await broker.producer(numbers).sendAll(Array.from({ length: 21 }, (_, n) => ({ n })));
    const loopOnce = async (consumer = broker.consumer(numbers, { signal: shared.signal })) => {
      for await (const message of consumer) {
        message.ack();
        break;
      }
      return consumer;
    };
    for (let n = 0; n < 20; n++) await loopOnce();
    expect(listenersOf(shared.signal)).toBe(1);
    const held = await loopOnce();
    expect(held.state.status).toBe('idle');
    await expect
      .poll(
        async () => {
          collect();
          return listenersOf(shared.signal);
        },
        { timeout: 10_000 },
      )
      .toBe(1);
    shared.abort();
    expect(await held.closed).toBeUndefined();
    expect(held.state.status).toBe('closed');
  });

  it('has none once no consumer is referenced that it could close', async () => {
    const { signal } = new AbortController();
    await broker.producer(numbers).sendAll([{ n: 1 }, { n: 2 }]);
    const loopOnce = async () => {
      for await (const message of broker.consumer(numbers, { signal })) {
        message.ack();
        break;
      }
    };
    await loopOnce();
    await loopOnce();
    await expect
      .poll(
        async () => {
          collect();
          return listenersOf(signal);
        },
        { timeout: 10_000 },
      )
      .toBe(0);
  });

  it('has one listener, however many brokers it closes', async () => {
    const shared = new AbortController();
    const brokers = Array.from({ length: 15 }, () => new Broker('memory:', { signal: shared.signal }));
    expect(listenersOf(shared.signal)).toBe(1);
    shared.abort();
    for (const it of brokers) {
      await it.close();
      expect(it.state).toEqual({ status: 'closed' });
    }
  });

  it('has one listener, however many sendAll it may end, and none afterwards', async () => {
    const { signal } = new AbortController();
    const producer = broker.producer(numbers);
    const sending = Array.from({ length: 15 }, () => producer.sendAll([{ n: 1 }], { signal }));
    expect(listenersOf(signal)).toBe(1);
    await Promise.all(sending);
    expect(listenersOf(signal)).toBe(0);
  });
});
