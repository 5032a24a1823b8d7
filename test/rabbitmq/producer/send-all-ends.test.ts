import { Broker, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';

const numbers = queue('numbers', z.number());

it('ends a sendAll that waits for its source when the signal aborts', async () => {
  await using vhost = await createVhost();
  await using broker = await Broker.connect(vhost.url);
  const giveUp = new AbortController();
  async function* quiet() {
    yield 1;
    await new Promise(() => undefined);
  }
  const sending = broker.producer(numbers).sendAll(quiet(), { signal: giveUp.signal });
  await expect.poll(() => broker.stats(numbers).catch(() => undefined)).toMatchObject({ messages: 1 });
  giveUp.abort();
  expect(await sending).toEqual({ sent: 1, failed: [] });
});

it('ends a sendAll over a source without an end when the broker is closed', async () => {
  await using vhost = await createVhost();
  const broker = await Broker.connect(vhost.url);
  let isRunaway = false;
  function* endless() {
    for (let n = 0; n < 200_000; n++) yield n;
    isRunaway = true;
  }
  const sending = broker.producer(numbers).sendAll(endless());
  await expect.poll(() => broker.stats(numbers).catch(() => undefined)).toBeDefined();
  await broker.close();
  const { sent, failed } = await sending;
  expect(isRunaway).toBe(false);
  expect(sent).toBeGreaterThan(0);
  expect(failed.at(-1)?.error).toMatchObject({ code: 'CLOSED' });
});

it('lets the program abort a sendAll whose sends all fail at once', async () => {
  await using broker = new Broker();
  function* endless() {
    for (let n = 0; n < 2_000_000; n++) yield 'not a number' as never;
  }
  const { failed } = await broker.producer(numbers).sendAll(endless(), { signal: AbortSignal.timeout(50) });
  expect(failed.length).toBeLessThan(2_000_000);
});
