import { Broker, procedure } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const echo = procedure('echo', {
  request: z.object({ n: z.number() }),
  response: z.object({ n: z.number() }),
});
const quick = { reconnect: { initialDelayMs: 20 } };

describe('a requester whose connection is lost', () => {
  it('rejects what was sent at once, as retryable, and asks again on the next connection', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using asking = await Broker.connect(proxy.via(vhost.url), quick);
    await using answering = await Broker.connect(vhost.url);
    using held = gate();
    const responder = answering.responder(
      echo,
      ({ body }) => (body.n === 1 ? held.opened.then(() => body) : body),
      { concurrency: 2 },
    );
    await responder.ready;
    const lost = expect(asking.request(echo, { n: 1 })).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      retryable: true,
      maybeDelivered: true,
    });
    await expect.poll(() => responder.stats.inFlight).toBe(1);
    proxy.cutAll();
    await lost;
    expect(await asking.request(echo, { n: 2 })).toEqual({ n: 2 });
    held.open();
    await expect.poll(() => responder.stats.acked).toBe(2);
    expect(await asking.request(echo, { n: 3 })).toEqual({ n: 3 });
  });

  it('sends what waits once the server can be reached again, and not before its time is over', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using asking = await Broker.connect(proxy.via(vhost.url), quick);
    await using answering = await Broker.connect(vhost.url);
    await answering.responder(echo, ({ body }) => body).ready;
    await proxy.refuse(true);
    proxy.cutAll();
    await expect.poll(() => asking.state.status).toBe('reconnecting');
    const waiting = asking.request(echo, { n: 1 });
    await expect(asking.request(echo, { n: 2 }, { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      maybeDelivered: false,
    });
    await proxy.refuse(false);
    expect(await waiting).toEqual({ n: 1 });
  });

  it('never hangs where nothing comes back any more', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using asking = await Broker.connect(proxy.via(vhost.url), quick);
    await using answering = await Broker.connect(vhost.url);
    await answering.responder(echo, ({ body }) => body).ready;
    await asking.request(echo, { n: 1 });
    proxy.blackhole(true);
    await expect(asking.request(echo, { n: 2 }, { timeoutMs: 500 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      maybeDelivered: true,
    });
    proxy.cutAll();
    proxy.blackhole(false);
    await expect.poll(() => asking.request(echo, { n: 3 }).catch(() => undefined)).toEqual({ n: 3 });
  });
});

describe('a responder whose connections are lost', () => {
  it('gets the request again, and its answer arrives in time', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using asking = await Broker.connect(vhost.url);
    await using answering = await Broker.connect(proxy.via(vhost.url), quick);
    using held = gate();
    const attempts: number[] = [];
    const responder = answering.responder(echo, async ({ body, attempt, redelivered }) => {
      attempts.push(attempt);
      if (!redelivered) await held.opened;
      return { n: body.n + attempt };
    });
    await responder.ready;
    const asked = asking.request(echo, { n: 0 });
    await expect.poll(() => attempts).toEqual([1]);
    proxy.cutAll();
    expect(await asked).toEqual({ n: 2 });
    expect(attempts).toEqual([1, 2]);
  });

  it('answers with what it has when its handler ends, although the delivery is lost', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using asking = await Broker.connect(vhost.url);
    await using answering = await Broker.connect(proxy.via(vhost.url), quick);
    using held = gate();
    using again = gate();
    let runs = 0;
    const responder = answering.responder(echo, async ({ body, redelivered }) => {
      runs++;
      await (redelivered ? again.opened : held.opened);
      return redelivered ? { n: -1 } : body;
    });
    await responder.ready;
    const asked = asking.request(echo, { n: 1 });
    await expect.poll(() => runs).toBe(1);
    proxy.cutAll();
    await expect.poll(() => runs).toBe(2);
    held.open();
    expect(await asked).toEqual({ n: 1 });
  });

  it('sends an answer again that was written and got lost on the way', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using asking = await Broker.connect(vhost.url);
    await using answering = await Broker.connect(proxy.via(vhost.url), quick);
    let publishing = 0;
    let isLost = false;
    let swallowedBytes = 0;
    proxy.intercept((chunk, direction, connection) => {
      if (chunk.includes('reply-to')) publishing = direction === 'to-server' ? connection : publishing;
      if (!isLost || connection !== publishing || direction !== 'to-server') return [chunk];
      swallowedBytes += chunk.length;
      return [];
    });
    const runs: number[] = [];
    const responder = answering.responder(echo, ({ body }) => {
      runs.push(body.n);
      return body;
    });
    await responder.ready;
    // The first one shows which connection publishes.
    expect(await asking.request(echo, { n: 1 })).toEqual({ n: 1 });
    await expect.poll(() => responder.stats.acked).toBe(1);
    isLost = true;
    const asked = asking.request(echo, { n: 2 });
    await expect.poll(() => swallowedBytes).toBeGreaterThan(0);
    await expect.poll(() => responder.stats.acked).toBe(2);
    isLost = false;
    proxy.cut(publishing);
    expect(await asked).toEqual({ n: 2 });
    expect(runs).toEqual([1, 2]);
  });
});
