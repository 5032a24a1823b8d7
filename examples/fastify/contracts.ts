import { procedure, queue } from 'leveret';
import { z } from 'zod';

export const emails = queue('shop.emails', z.object({ to: z.email(), subject: z.string() }));

export const quote = procedure('shop.quote', {
  request: z.object({ sku: z.string() }),
  response: z.object({ price: z.number() }),
});
