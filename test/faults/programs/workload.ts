import { exchange, queue } from 'leveret';
import { z } from 'zod';
import type { Kind } from '../harness/journal.js';

const kinds = [
  'plain',
  'slow',
  'flaky',
  'later',
  'stubborn',
  'dead',
  'blocking',
] as const satisfies readonly Kind[];

/** `k` names the message, in the journals and on the wire. */
const body = z.object({ k: z.string(), kind: z.enum(kinds), pad: z.string() });
export type Body = z.infer<typeof body>;

const retry = { attempts: 5, initialDelayMs: 100, maxDelayMs: 300 };
const dead = 'work.dead';

/** A quorum queue, a classic one, and one behind an exchange. Their dead letters go to one place. */
export const work = queue('work', body, { retry, deadLetter: dead });
export const jobs = queue('jobs', body, { type: 'classic', retry, deadLetter: dead });
export const orders = exchange('orders', body, { type: 'topic' });
export const billing = orders.queue('billing', 'eu.*', { retry, deadLetter: dead });

/** The queue `work` in the hands of a program that does not know its contract. */
export const anything = queue('work', z.looseObject({}), { declare: false });

export const queueNames = [work.name, jobs.name, billing.name] as const;
export const deadLetterQueue = dead;

/** `k` out of the bytes of a body. */
export function keyOf(content: Buffer): string | undefined {
  return /"k":"([^"]+)"/.exec(content.toString('latin1', 0, 200))?.[1];
}
