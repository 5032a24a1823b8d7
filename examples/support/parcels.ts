/** The contracts that the command reads: `leveret doctor --contracts parcels.ts`. */
import { queue } from 'leveret';
import { z } from 'zod';

export const parcels = queue('example.parcels', z.object({ id: z.int() }), { deliveryLimit: 10 });
