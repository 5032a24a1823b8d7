import { exchange, procedure, queue } from 'leveret';
import { z } from 'zod';

/** What happens to orders. An interested program binds a queue. */
export const orders = exchange(
  'shop.orders',
  z.object({ id: z.string().min(1), email: z.email(), total: z.number().positive() }),
  { type: 'topic' },
);

/** The orders that are to be paid. */
export const billing = orders.queue('shop.billing', 'order.placed');

export const emails = queue('shop.emails', z.object({ to: z.email(), subject: z.string() }));

export const quote = procedure('shop.quote', {
  request: z.object({ sku: z.string() }),
  response: z.object({ price: z.number() }),
});
