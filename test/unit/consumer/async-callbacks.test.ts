import { Broker, queue } from 'leveret';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { absenceOf } from '../../helpers/waits.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { retry: { attempts: 2, initialDelayMs: 0 } });
const away = async () => Promise.reject(new Error('the database is away'));

/** TypeScript lets an async function stand where one is asked for that returns nothing, and JavaScript everywhere. */
describe('a callback that is written as an async function, and rejects,', () => {
  const rejections: unknown[] = [];
  const onRejection = (reason: unknown) => void rejections.push(reason);
  let broker: Broker;
  beforeEach(async () => {
    process.on('unhandledRejection', onRejection);
    broker = await Broker.connect('memory:');
  });
  afterEach(async () => {
    await broker.close();
    await absenceOf(20, 'an unhandled rejection is reported, after the microtasks');
    process.off('unhandledRejection', onRejection);
    expect(rejections.splice(0)).toEqual([]);
  });

  it('is what sendAll rejects with when it is its onProgress, after all are sent', async () => {
    const sending = broker.producer(numbers).sendAll([{ n: 1 }, { n: 2 }], { onProgress: away as never });
    await expect(sending).rejects.toThrow('the database is away');
    expect((await broker.stats(numbers)).messages).toBe(2);
  });

  it('is not waited for when it is an onProgress that never ends', async () => {
    const onProgress = (() => new Promise(() => {})) as never;
    const sending = broker.producer(numbers).sendAll([{ n: 1 }, { n: 2 }], { onProgress });
    expect(await sending).toEqual({ sent: 2, failed: [] });
  });

  it('is what a replay rejects with when it is its onProgress', async () => {
    const events = recordEvents(broker);
    const consumer = broker.consumer(numbers, (message) => void message.deadLetter('no use'));
    await broker.producer(numbers).sendAll([{ n: 1 }, { n: 2 }, { n: 3 }]);
    await expect.poll(() => events.of('dead-lettered').length).toBe(3);
    await consumer.close();
    const replaying = broker.deadLetters(numbers).replay({ ratePerSecond: 20, onProgress: away as never });
    await expect(replaying).rejects.toThrow('the database is away');
    const [left, back] = [await broker.stats('numbers.dead'), await broker.stats(numbers)];
    expect(left.messages + back.messages).toBe(3);
  });

  it('has not said no when it is retryIf', async () => {
    const patient = queue('patient', z.object({ n: z.number() }), {
      retry: { attempts: 3, initialDelayMs: 0, retryIf: away as never },
    });
    const events = recordEvents(broker);
    let runs = 0;
    await broker.consumer(patient, () => {
      runs++;
      throw new Error('for good');
    }).ready;
    await broker.producer(patient).send({ n: 1 });
    await expect.poll(() => events.of('dead-lettered').length, { timeout: 10_000 }).toBe(1);
    expect(runs).toBe(3);
  });

  it('fails the message when it is orderBy, which would keep no order', async () => {
    const events = recordEvents(broker);
    let runs = 0;
    await broker.consumer(numbers, () => void runs++, { concurrency: 2, orderBy: away as never }).ready;
    await broker.producer(numbers).send({ n: 1 });
    await expect.poll(() => events.of('dead-lettered').length, { timeout: 10_000 }).toBe(1);
    expect(events.of('dead-lettered')[0]).toMatchObject({
      error: {
        code: 'INVALID_OPTION',
        message: expect.stringMatching(/'orderBy' must return a key at once/),
      },
    });
    expect(runs).toBe(0);
  });
});
