/** Sends until it is told to stop, and notes what became of each message. */
import { setTimeout as delay } from 'node:timers/promises';
import { senderWithoutConfirms } from '../broken/without-confirms.js';
import { type Kind, now } from '../harness/journal.js';
import { randomOf } from '../harness/random.js';
import { journal, options, stopping } from './child.js';
import type { SendingClient, Target } from './clients.js';
import { leveretSender } from './leveret-clients.js';

const clients: Readonly<Record<string, (url: string) => Promise<SendingClient>>> = {
  leveret: leveretSender,
  'without-confirms': senderWithoutConfirms,
};

const TICK_MS = 20;
const MAX_PENDING = 2_000;
const ASK_EVERY_MS = 1_000;
const random = randomOf(options.seed);

function chooseKind(): Kind {
  const dice = random.next();
  if (dice < 0.02) return 'slow';
  if (options.isPlain) return 'plain';
  if (dice < 0.05) return 'flaky';
  if (dice < 0.06) return 'later';
  if (dice < 0.065) return 'stubborn';
  if (dice < 0.075) return 'dead';
  if (dice < 0.08) return 'invalid';
  return 'plain';
}

function chooseTarget(kind: Kind): Target {
  if (kind === 'invalid') return 'anything';
  return options.isPlain ? 'work' : random.pick(['work', 'work', 'work', 'jobs', 'orders'] as const);
}

async function send(client: SendingClient, n: number): Promise<void> {
  const kind = chooseKind();
  const target = chooseTarget(kind);
  const k = `${options.name}-${n}`;
  const pad = 'x'.repeat(random.chance(0.01) ? random.integer(10_000, 60_000) : random.integer(0, 300));
  journal.note({ e: 'send', k, kind, queue: target });
  try {
    const { messageId } = await client.send(target, { k, kind, pad });
    journal.note({ e: 'sent', k, id: messageId });
  } catch (error) {
    const { code, maybeDelivered, message } = error as {
      code?: string;
      maybeDelivered?: boolean;
      message: string;
    };
    journal.note({
      e: 'failed',
      k,
      code: code ?? message,
      ...(maybeDelivered === undefined ? {} : { maybeDelivered }),
    });
  }
}

async function ask(client: SendingClient): Promise<void> {
  const askedAt = now();
  const ok = await client.ask().then(
    () => true,
    () => false,
  );
  journal.note({ e: 'asked', ms: now() - askedAt, ok });
}

const client = await (clients[options.client] as (typeof clients)[string])(options.url);
journal.note({ e: 'ready' });
const sends = new Set<Promise<void>>();
const follow = (promise: Promise<void>) => {
  sends.add(promise);
  void promise.finally(() => sends.delete(promise));
};
let n = 0;
const startedAt = now();
let askedAt = startedAt;
while (!stopping.aborted) {
  const due = Math.floor(((now() - startedAt) / 1_000) * options.rate);
  // What the pauses of this process or a full window have left out is not made up for.
  for (let left = Math.min(due - n, options.rate); left > 0 && client.pending < MAX_PENDING; left--) {
    follow(send(client, ++n));
  }
  if (now() - askedAt > ASK_EVERY_MS) {
    askedAt = now();
    follow(ask(client));
  }
  await delay(TICK_MS);
}
const closingAt = now();
const { clean } = await client.close();
await Promise.all(sends);
journal.note({ e: 'closed', clean, ms: now() - closingAt });
