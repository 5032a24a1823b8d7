import { type } from 'arktype';
import { delays, exchange, procedure, queue } from 'leveret';
import * as v from 'valibot';
import { z } from 'zod';
import * as z3 from 'zod/v3';

const mail = z.object({
  to: z.email().describe('Who gets it.'),
  subject: z.string().min(1).max(200).default('(none)'),
  tags: z.array(z.enum(['news', 'order'])).optional(),
});

export const emails = queue('emails', mail, { retry: { attempts: 3 }, messageTtlMs: 60_000 });
export const orders = exchange('orders', z.object({ id: z.uuid(), total: z.number().positive() }), {
  type: 'topic',
});
export const billing = orders.queue('billing', ['eu.*', 'us.*']);
export const watch = orders.subscription('eu.#');
export const news = exchange('news', type({ text: 'string', 'at?': 'string.date.iso' }), { type: 'fanout' });
export const byHeader = exchange('by header/é', z.string(), { type: 'headers', codec: 'text' });
export const prices = queue('prices', v.object({ sku: v.string() }), { type: 'stream' });
export const old = queue('old', z3.object({ a: z3.string() }), {
  type: 'classic',
  retry: false,
  deadLetter: false,
});
export const pictures = queue('pictures', z.instanceof(Uint8Array), {
  codec: 'bytes',
  type: 'classic',
  maxPriority: 5,
});
export const quote = procedure('quote', {
  request: z.object({ sku: z.string() }),
  response: z.object({ price: z.number() }),
});

interface Category {
  readonly name: string;
  readonly within: readonly Category[];
}

const category: z.ZodType<Category, Category> = z.object({
  name: z.string(),
  get within() {
    return z.array(category);
  },
});

/** A schema that contains itself, and one with a name of its own. */
export const categories = queue('categories', category);
export const named = queue(
  'named',
  z.object({ id: z.string() }).meta({ id: 'Named', title: 'Something with a name' }),
);
export const everything = [
  ...[emails, orders, billing, watch, news, byHeader, prices, old, pictures, quote, categories, named],
  delays(emails),
];
