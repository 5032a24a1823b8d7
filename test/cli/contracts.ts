import { exchange, procedure, queue } from 'leveret';
import { z } from 'zod';

/** What the tests of the command give to --contracts. */
export const emails = queue('emails', z.object({ to: z.string() }), { retry: false });

export const orders = exchange('orders', z.object({ id: z.string() }));

export const billing = orders.queue('billing', 'eu.*');

export const watch = orders.subscription('#');

export const more = { list: [billing, { watch }] };

export const quote = procedure('quote', { request: z.string(), response: z.number() });

// The command's output belongs to its reader: this text must not get into it.
console.log('loaded');
