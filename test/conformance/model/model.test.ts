import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, inject, it } from 'vitest';
import { type Target, targets } from '../targets.js';
import { type Command, sessions } from './commands.js';
import { Replica } from './replica.js';

/** How long to look for differences. More finds more. */
const seconds = Number(process.env.LEVERET_FUZZ_SECONDS ?? 15);
/** The seed of a failure that is to be seen again. */
const seed = process.env.LEVERET_FUZZ_SEED === undefined ? undefined : Number(process.env.LEVERET_FUZZ_SEED);

/** How long the server may take until it shows what the embedded broker shows at once. */
const patienceMs = 5_000;

let runs = 0;

/** The first difference between the embedded broker and the server, if there is one. */
async function firstDifference(
  commands: readonly Command[],
  embedded: Target,
  server: Target,
): Promise<string | undefined> {
  const run = ++runs;
  await using model = new Replica(embedded, run);
  await using real = new Replica(server, run);
  const done: string[] = [];
  for (const command of commands) {
    const expected = await model.perform(command);
    const actual = await real.perform(command);
    done.push(`${JSON.stringify(command)} → ${expected}`);
    if (actual !== expected) return report(done, expected, actual);
    const difference = await lookUntilSame(model, real);
    if (difference) return report(done, ...difference);
  }
  return undefined;
}

/** Deliveries and counts on a server come when they come: waits until both show the same. */
async function lookUntilSame(model: Replica, real: Replica): Promise<[string, string] | undefined> {
  const deadline = performance.now() + patienceMs;
  while (true) {
    const expected = await model.look();
    const actual = await real.look();
    if (actual === expected) return undefined;
    if (performance.now() > deadline) return [expected, actual];
    await delay(5);
  }
}

function report(done: readonly string[], expected: string, actual: string): string {
  return `${done.join('\n')}\n\nthe embedded broker:\n${expected}\n\nthe server:\n${actual}`;
}

describe('whatever a client does', () => {
  it(
    'the embedded broker shows what the server of its version shows',
    async () => {
      const real = targets.find(({ name }) => name === 'RabbitMQ');
      await using server = (await real?.open()) as Target;
      const twin = targets.find(({ name }) => name === `memory as ${server.family}`);
      await using embedded = (await twin?.open()) as Target;
      const property = fc.asyncProperty(sessions, async (commands) => {
        // What happens in two queues at once is a race on a server: a difference counts when it shows again.
        const difference =
          (await firstDifference(commands, embedded, server)) &&
          (await firstDifference(commands, embedded, server));
        expect(difference).toBeUndefined();
      });
      await fc.assert(property, {
        ...(seed === undefined ? {} : { seed }),
        numRuns: 1_000_000,
        interruptAfterTimeLimit: seconds * 1_000,
        markInterruptAsFailure: false,
      });
      console.log(`${runs} sessions on RabbitMQ ${inject('server').version} and on its model`);
    },
    seconds * 1_000 + 240_000,
  );
});
