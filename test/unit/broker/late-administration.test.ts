import { expect, it } from 'vitest';
import { Administration } from '../../../src/broker/administration.js';
import type { Connections } from '../../../src/broker/connections.js';
import { Landings } from '../../../src/delay/landings.js';
import type { Connection } from '../../../src/transport/connection/connection.js';
import type { Channel, Link } from '../../../src/transport/port.js';
import { type Clock, systemClock } from '../../../src/util/clock.js';
import { deferred } from '../../../src/util/promises.js';

it('does not purge a queue after the purge was given up', async () => {
  const reconnected = deferred<Link>();
  const connections = {
    forAdministration: () => ({ link: () => reconnected.promise }),
  } as unknown as Connections;
  // The 30 seconds are over at once.
  const clock: Clock = { ...systemClock, setTimeout: (callback) => setTimeout(callback, 0) };
  const landings = new Landings({ connection: {} as unknown as Connection, clock });
  const purged: string[] = [];
  const channel = {
    isOpen: true,
    purgeQueue: async (name: string) => purged.push(name),
    close: async () => undefined,
  } as unknown as Channel;

  const purge = new Administration(connections, clock, landings).purge('emails');
  await expect(purge).rejects.toMatchObject({ code: 'TIMEOUT' });
  reconnected.resolve({ isOpen: true, openChannel: async () => channel } as unknown as Link);
  await new Promise(setImmediate);
  expect(purged).toEqual([]);
});
