import { Broker, procedure } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';

it('names the procedure, and only options of a responder, in the error for an unknown option', async () => {
  await using broker = new Broker('memory:');
  const quote = procedure('quote', { request: z.string(), response: z.number() });
  expect(() => broker.responder(quote, () => 1, { retries: 3 } as object)).toThrow(
    /^responder of the procedure 'quote': unknown option 'retries'\. Known options: (?!.*(?:orderBy|noAck)).*concurrency/,
  );
});
