/** Handles messages as their kind says until it is told to stop, and notes each run. */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { DeadLetter, RetryLater } from 'leveret';
import { brokenConsumer } from '../broken/consumer.js';
import { now } from '../harness/journal.js';
import { journal, options, stopping } from './child.js';
import type { ConsumingClient, Handler, Received } from './clients.js';
import { leveretConsumers } from './leveret-clients.js';

const clients: Readonly<Record<string, (url: string, handle: Handler) => Promise<ConsumingClient>>> = {
  leveret: leveretConsumers,
  'acks-early': (url, handle) => brokenConsumer(url, handle, { acksEarly: true }),
  'acks-on-the-new-channel': (url, handle) => brokenConsumer(url, handle, { acksOnTheNewChannel: true }),
  'leaves-sockets': (url, handle) => brokenConsumer(url, handle, { leavesSockets: true }),
};

/** Longer than the heartbeat of a second allows. */
const BLOCK_MS = 6_000;

function block(ms: number): void {
  for (const endsAt = now() + ms; now() < endsAt; );
}

async function perform({ body, attempt }: Received): Promise<void> {
  switch (body.kind) {
    case 'slow':
      return delay(options.slowMs);
    case 'blocking':
      return block(BLOCK_MS);
    case 'flaky':
      if (attempt === 1) throw new Error('the first run fails');
      return;
    case 'later':
      if (attempt === 1) throw new RetryLater({ delayMs: 200 });
      return;
    case 'stubborn':
      throw new Error('every run fails');
    case 'dead':
      throw new DeadLetter('no use');
    default:
      // Some end in the same tick, some later.
      if (body.pad.length % 3 > 0) await delay(body.pad.length % 8);
  }
}

let runs = 0;
const handle: Handler = async (message) => {
  const run = ++runs;
  const { k } = message.body;
  const { id, attempt, redelivered } = message;
  journal.note({ e: 'start', k, run, id, attempt, redelivered });
  try {
    await perform(message);
    journal.note({ e: 'end', k, run, how: 'done' });
  } catch (error) {
    journal.note({ e: 'end', k, run, how: 'failed' });
    throw error;
  }
};

const client = await (clients[options.client] as (typeof clients)[string])(options.url, handle);
journal.note({ e: 'ready' });
if (!stopping.aborted) await once(stopping, 'abort');
const closingAt = now();
const { clean } = await client.close();
journal.note({ e: 'closed', clean, ms: now() - closingAt });
