import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { startPrivateServer } from '../../helpers/server/index.js';

const DENIED = 'deprecated_features.permit.transient_nonexcl_queues = false';

const options = { type: 'classic', durable: false, deadLetter: false } as const;
const passing = queue('passing', z.string(), options);
const own = queue('own', z.string(), { ...options, exclusive: true });

/** A server that denies transient queues, where its version knows such a thing; and one that knows no such thing. */
async function strictServer() {
  const server = await startPrivateServer();
  const [major = 0, minor = 0] = server.version.split('.').map(Number);
  if (major < 4 && minor < 12) return { server, isStrict: false };
  await server.stop();
  return { server: await startPrivateServer({ configuration: [DENIED] }), isStrict: true };
}

it('a queue that the server denies ends its consumer with an explanation, and no other', {
  timeout: 120_000,
}, async () => {
  const { server, isStrict } = await strictServer();
  await using _ = server;
  await using broker = await Broker.connect(server.url);
  const seen: string[] = [];
  const other = broker.consumer(own, ({ body }) => void seen.push(body));
  await other.ready;
  const outcomes = await Promise.all(
    [
      broker.declare(passing),
      broker.producer(passing).send('hello'),
      broker.consumer(passing, () => undefined).ready,
    ].map((asked) =>
      (asked as Promise<unknown>).then(
        () => 'permitted',
        (error: Error & { code: string }) => `${error.code}: ${error.message}`,
      ),
    ),
  );
  const denied = `MISMATCH: The queue 'passing': this server refuses queues that are neither durable nor exclusive. Set 'durable: true', or 'exclusive: true'`;
  expect(outcomes).toEqual(Array(3).fill(isStrict ? denied : 'permitted'));
  // The server has closed the connection: the others come back.
  await expect.poll(() => other.state.status, { timeout: 20_000 }).toBe('running');
});
