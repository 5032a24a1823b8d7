import { expect, it } from 'vitest';
import { z } from 'zod';
import { queue } from '../../../src/contracts/queue.js';
import { Landings } from '../../../src/delay/landings.js';
import { TransportError } from '../../../src/transport/port.js';
import { FakeClock, turn } from '../support/fake-clock.js';
import { FakeConnection } from '../support/fake-connection.js';

const bounded = queue('bounded', z.any(), { maxLength: 10 });
const HELD = 'leveret.delay.held.queue.bounded';

it('looks again for what is held when the connection is lost meanwhile', async () => {
  const connection = new FakeConnection();
  const clock = new FakeClock();
  const landings = new Landings({ connection: connection.asConnection, clock });
  const first = connection.open();
  first.onRequest = (request) => (request === `check queue ${HELD}` ? new Promise(() => {}) : undefined);
  landings.consumes(bounded);
  await expect.poll(() => first.requests).toContain(`check queue ${HELD}`);
  connection.lose();
  await turn();
  const second = connection.open();
  await expect.poll(() => second.requests).toContain(`check queue ${HELD}`);
  await clock.pass(1_000);

  await expect.poll(() => second.requests).toContain(`consume ${HELD}`);
  landings.abort();
});

it('looks once where nothing is held', async () => {
  const connection = new FakeConnection();
  const landings = new Landings({ connection: connection.asConnection, clock: new FakeClock() });
  const link = connection.open();
  link.onRequest = (request) => {
    if (request === `check queue ${HELD}`) throw new TransportError('NOT_FOUND', { replyCode: 404 });
  };
  landings.consumes(bounded);
  await expect.poll(() => link.requests).toContain('consume leveret.delay.to.queue.bounded');
  await turn();

  expect(link.requests.filter((it) => it.includes(HELD))).toEqual([`check queue ${HELD}`]);
  landings.abort();
});
