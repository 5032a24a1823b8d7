import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Schema } from '../../../../src/contracts/body/schema.js';
import { track } from '../../support/track.js';

/** A queue whose messages are not validated before the test ends. */
function hanging() {
  let asked = 0;
  const validate = (value: unknown) =>
    ++asked === 1 ? { value } : new Promise<{ value: unknown }>(() => {});
  const never: Schema = { '~standard': { version: 1, vendor: 'test', validate } };
  return { contract: queue('numbers', never), asked: () => asked };
}

describe('a loop whose schema never answers', () => {
  it.each(['consumer', 'broker'] as const)('ends at the deadline of the close of its %s', async (which) => {
    const { contract, asked } = hanging();
    const broker = await Broker.connect('memory:');
    await broker.producer(contract).send(1);
    const consumer = broker.consumer(contract);
    const step = track(consumer[Symbol.asyncIterator]().next());
    await expect.poll(asked).toBe(2);

    await (which === 'consumer' ? consumer : broker).close({ timeoutMs: 50 });
    await expect.poll(() => step.state).toBe('resolved');
    expect(step.value).toEqual({ done: true, value: undefined });
    expect(await consumer.closed).toBeUndefined();
    expect((await broker.close({ timeoutMs: 50 })).clean).toBeTypeOf('boolean');
  });

  it('leaves no message in flight when it is left', async () => {
    const { contract, asked } = hanging();
    await using broker = await Broker.connect('memory:');
    await broker.producer(contract).send(1);
    const consumer = broker.consumer(contract);
    const loop = consumer[Symbol.asyncIterator]();
    const step = track(loop.next());
    await expect.poll(asked).toBe(2);

    await loop.return?.();
    await expect.poll(() => step.state).toBe('resolved');
    await expect.poll(() => broker.stats(contract)).toEqual({ messages: 1, consumers: 0 });
    expect(consumer.stats.inFlight).toBe(0);
  });
});

describe('the only loop, left before its consumer has started,', () => {
  it('settles ready', async () => {
    await using broker = await Broker.connect('memory:');
    const contract = queue('numbers', z.number());
    const consumer = broker.consumer(contract);
    const loop = consumer[Symbol.asyncIterator]();
    const step = loop.next();
    await loop.return?.();

    expect(await step).toEqual({ done: true, value: undefined });
    await expect(consumer.ready).rejects.toMatchObject({ code: 'CLOSED' });
    // Another loop starts it after all.
    await broker.producer(contract).send(1);
    for await (const { body } of consumer) {
      expect(body).toBe(1);
      break;
    }
  });
});
