import { Broker, delays, exchange, queue } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const COUNT = 50;

it('fifty bound consumers are set up within 2 s over a round trip of 100 ms, at the start and after a reconnect', async () => {
  await using vhost = await createVhost();
  await using proxy = await TcpProxy.listen(vhost.url);
  const events = exchange('events', z.number(), { type: 'direct' });
  const queues = Array.from({ length: COUNT }, (_, at) =>
    events.queue(`q${at}`, `k${at}`, { type: 'classic', deadLetter: false }),
  );
  // The server has made them: what is measured is the way there, not how fast this machine makes queues.
  await using local = await Broker.connect(vhost.url);
  await local.declare(...queues);
  proxy.delay(50);
  await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 1 } });
  const startedAt = performance.now();
  const consumers = queues.map((contract) => broker.consumer(contract, () => undefined));
  await Promise.all(consumers.map(({ ready }) => ready));
  const startMs = performance.now() - startedAt;

  let recovered = 0;
  broker.on('consumer-recovered', () => recovered++);
  proxy.cutAll();
  const cutAt = performance.now();
  await expect.poll(() => recovered, { timeout: 30_000, interval: 10 }).toBe(COUNT);
  const recoveryMs = performance.now() - cutAt;
  console.log(`set up in ${Math.round(startMs)} ms, again in ${Math.round(recoveryMs)} ms`);
  expect(Math.max(startMs, recoveryMs)).toBeLessThan(2_000);
});

it('the first sends of fifty producers are confirmed within 2 s over a round trip of 100 ms, at the start and after a reconnect', async () => {
  await using vhost = await createVhost();
  await using proxy = await TcpProxy.listen(vhost.url);
  proxy.delay(50);
  const queues = Array.from({ length: COUNT }, (_, at) =>
    queue(`q${at}`, z.number(), { type: 'classic', deadLetter: false }),
  );
  await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 1 } });
  const sendToAll = async () => {
    const startedAt = performance.now();
    await Promise.all(queues.map((contract) => broker.producer(contract).send(1)));
    return performance.now() - startedAt;
  };
  const startMs = await sendToAll();
  const lost = new Promise((resolve) => broker.on('disconnected', resolve));
  proxy.cutAll();
  await lost;
  const recoveryMs = await sendToAll();
  console.log(
    `first sends in ${Math.round(startMs)} ms, after the reconnect in ${Math.round(recoveryMs)} ms`,
  );
  expect(Math.max(startMs, recoveryMs)).toBeLessThan(2_000);
});

it('fifty queues are declared within 2 s over a round trip of 100 ms', async () => {
  await using vhost = await createVhost();
  await using proxy = await TcpProxy.listen(vhost.url);
  proxy.delay(50);
  await using broker = await Broker.connect(proxy.via(vhost.url));
  const queues = Array.from({ length: COUNT }, (_, at) =>
    queue(`q${at}`, z.number(), { type: 'classic', deadLetter: false }),
  );
  const startedAt = performance.now();
  await broker.declare(...queues);
  const declaredMs = performance.now() - startedAt;
  console.log(`declared in ${Math.round(declaredMs)} ms`);
  expect(declaredMs).toBeLessThan(2_000);
});

it('the first delayed messages for twenty queues are confirmed within 2 s over a round trip of 100 ms', async () => {
  await using vhost = await createVhost();
  await using proxy = await TcpProxy.listen(vhost.url);
  const queues = Array.from({ length: 20 }, (_, at) =>
    queue(`q${at}`, z.number(), { type: 'classic', deadLetter: false }),
  );
  // The server has made the queues: what is measured is the way there, not how fast this machine makes queues.
  await using local = await Broker.connect(vhost.url);
  await local.declare(delays(...queues));
  proxy.delay(50);
  await using broker = await Broker.connect(proxy.via(vhost.url));
  const startedAt = performance.now();
  await Promise.all(queues.map((contract) => broker.producer(contract).send(1, { delayMs: 60_000 })));
  const sentMs = performance.now() - startedAt;
  console.log(`delayed in ${Math.round(sentMs)} ms`);
  expect(sentMs).toBeLessThan(2_000);
});
