import { queue } from 'leveret';
import { postgresOutbox } from 'leveret/postgres';
import { z } from 'zod';

/** What the relays send: the sequence counts within its key. */
export const entries = queue(
  'entries',
  z.object({ key: z.string(), sequence: z.number(), n: z.number() }),
  // A process that is killed gives back what it was delivered, which the server counts.
  { retry: { attempts: 1_000, initialDelayMs: 10, maxDelayMs: 100 }, deliveryLimit: 10_000 },
);

export const outbox = postgresOutbox([entries]);
