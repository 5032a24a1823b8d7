import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Peer } from '../port/peer.js';
import { type Target, targets } from '../targets.js';

/** How long to look for differences. More finds more. */
const seconds = Number(process.env.LEVERET_FUZZ_SECONDS ?? 5);

const word = fc.constantFrom('a', 'b', 'ab', '', 'ä', ' ', 'a'.repeat(60));
const keys = fc.array(word, { minLength: 0, maxLength: 4 }).map((words) => words.join('.'));
const patterns = fc
  .array(fc.oneof(word, fc.constantFrom('*', '#', '*#', '##')), { minLength: 0, maxLength: 4 })
  .map((words) => words.join('.'));

/** Which keys come through which pattern, as one text. */
async function routes(
  peer: Peer,
  run: number,
  bound: readonly string[],
  sent: readonly string[],
): Promise<() => Promise<string>> {
  const link = await peer.link();
  const probe = await peer.channel(link);
  const exchange = await probe.exchange(`r${run}`, 'topic');
  const queues: string[] = [];
  const received: { routingKey: string }[][] = [];
  const refusals: string[] = [];
  for (const [at, pattern] of bound.entries()) {
    const queue = await probe.queue(`r${run}-${at}`, {}, { durable: false, exclusive: true });
    queues.push(queue);
    // 4.3 refuses some, and closes the channel.
    const binding = await peer.channel(link);
    refusals.push(await binding.refusal(binding.bind(queue, exchange, pattern)));
    received.push((await probe.consume(queue, 0, { noAck: true })).received);
  }
  for (const [at, key] of sent.entries()) await probe.publish(key, `${at}`, { exchange });
  return async () =>
    JSON.stringify([refusals, received.map((messages) => messages.map(({ routingKey }) => routingKey))]);
}

describe('whatever the routing keys and patterns of a topic exchange are', () => {
  it(
    'the embedded broker routes as the server does',
    async () => {
      await using server = (await targets.find(({ name }) => name === 'RabbitMQ')?.open()) as Target;
      const twin = targets.find(({ name }) => name === `memory as ${server.family}`);
      await using embedded = (await twin?.open()) as Target;
      let run = 0;
      const some = fc.tuple(
        fc.array(patterns, { minLength: 1, maxLength: 5 }),
        fc.array(keys, { minLength: 1, maxLength: 6 }),
      );
      const property = fc.asyncProperty(some, async ([bound, sent]) => {
        run++;
        await using model = new Peer(embedded);
        await using real = new Peer(server);
        const expected = await (await routes(model, run, bound, sent))();
        const actual = await routes(real, run, bound, sent);
        const deadline = performance.now() + 3_000;
        // Deliveries come when they come.
        while ((await actual()) !== expected && performance.now() < deadline) await delay(2);
        expect(await actual()).toBe(expected);
      });
      await fc.assert(property, {
        numRuns: 100_000,
        interruptAfterTimeLimit: seconds * 1_000,
        markInterruptAsFailure: false,
      });
      expect(run).toBeGreaterThan(3);
    },
    seconds * 1_000 + 120_000,
  );
});
