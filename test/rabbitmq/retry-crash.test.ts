import { expect, it } from 'vitest';
import { retryUnderKills } from '../helpers/retry-under-kills.js';
import { startPrivateServer } from '../helpers/server/index.js';

it('a server that is killed while messages fail and wait for another attempt loses none', async () => {
  // Three minutes otherwise, which is all that a message loses which was just changing queues.
  const advanced = { dead_letter_worker_publisher_confirm_timeout: 3_000 };
  await using server = await startPrivateServer({ advanced });
  const result = await retryUnderKills(server, { messages: 500, kills: 3, patienceMs: 60_000 });
  console.log(`${server.version}: ${JSON.stringify(result)}`);
  expect(result).toMatchObject({ sent: 500, lost: 0 });
  expect(result.handled + result.dead).toBe(500);
}, 300_000);
