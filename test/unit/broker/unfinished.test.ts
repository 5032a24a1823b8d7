import { Broker, queue } from 'leveret';
import { expect, it, vi } from 'vitest';
import { z } from 'zod';
import { deferred } from '../../../src/util/promises.js';

it('a close that does not wait any longer logs what it leaves behind', async () => {
  const warn = vi.fn();
  const ignored = () => undefined;
  const logger = { debug: ignored, info: ignored, warn, error: ignored };
  const broker = await Broker.connect('memory:', { logger });
  const jobs = queue('jobs', z.number());
  const begun = deferred<void>();
  broker.consumer(jobs, () => {
    begun.resolve();
    return new Promise(() => {});
  });
  await broker.producer(jobs).send(1);
  await begun.promise;
  expect(await broker.close({ timeoutMs: 20 })).toEqual({ clean: false });
  expect(warn).toHaveBeenCalledWith(
    { handlers: [{ queue: 'jobs', inFlight: 1 }], errors: [], sends: [] },
    'The broker was closed before all work was done',
  );
});
