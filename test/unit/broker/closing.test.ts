import { Broker, procedure, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';

const numbers = queue('numbers', z.number());
const others = queue('others', z.number());
const answers = procedure('answers', { request: z.number(), response: z.number() });
const CLOSED = { code: 'CLOSED' };

/** A broker that is about to close, and does not come to its end before its handler does. */
async function closingBroker() {
  const broker = await Broker.connect('memory:');
  await broker.declare(others);
  const held = gate();
  const consumer = broker.consumer(numbers, () => held.opened);
  await broker.producer(numbers).send(1);
  await expect.poll(() => consumer.stats.inFlight).toBe(1);
  const closed = broker.close();
  return { broker, held, closed };
}

describe.each([
  ['while the broker closes', closingBroker],
  [
    'after the broker was closed',
    async () => {
      const closing = await closingBroker();
      closing.held.open();
      await closing.closed;
      return closing;
    },
  ],
])('made %s,', (_, make) => {
  it.each([
    ['with a handler', (broker: Broker) => broker.consumer(others, () => undefined)],
    ['for loops', (broker: Broker) => broker.consumer(others)],
    ['of batches', (broker: Broker) => broker.batchConsumer(others, () => undefined)],
    ['of requests', (broker: Broker) => broker.responder(answers, () => 1)],
  ])('a consumer %s is closed from the start', async (_kind, consume) => {
    const { broker, held, closed } = await make();
    const consumer = consume(broker);

    await expect(consumer.ready).rejects.toMatchObject(CLOSED);
    expect(await consumer.closed).toMatchObject(CLOSED);
    expect(consumer.state.status).toBe('closed');
    held.open();
    expect(await closed).toEqual({ clean: true });
  });

  it('a loop throws', async () => {
    const { broker, held, closed } = await make();
    const loop = broker.consumer(others)[Symbol.asyncIterator]();

    await expect(loop.next()).rejects.toMatchObject(CLOSED);
    held.open();
    expect(await closed).toEqual({ clean: true });
  });

  it('a producer refuses every send', async () => {
    const { broker, held, closed } = await make();
    const producer = broker.producer(others);

    await expect(producer.send(1)).rejects.toMatchObject({ ...CLOSED, maybeDelivered: false });
    await producer.close();
    held.open();
    expect(await closed).toEqual({ clean: true });
  });

  it.each([
    ['declare', (broker: Broker) => broker.declare(others)],
    ['stats', (broker: Broker) => broker.stats(others)],
    ['purge', (broker: Broker) => broker.purge(others)],
    ['delete', (broker: Broker) => broker.delete(others)],
    ['connect', (broker: Broker) => broker.connect()],
  ])('a call of %s is refused', async (_name, call) => {
    const { broker, held, closed } = await make();

    await expect(call(broker)).rejects.toMatchObject(CLOSED);
    held.open();
    expect(await closed).toEqual({ clean: true });
  });
});
