import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost, queueDepth, type TestVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const jobs = queue('jobs', z.object({ n: z.number() }));

async function withLetters(vhost: TestVhost, count: number): Promise<void> {
  await using broker = await Broker.connect(vhost.url);
  await broker.declare(jobs);
  await using other = await otherClient(vhost.url);
  for (let n = 0; n < count; n++) await other.put('jobs.dead', { n }, { messageId: `${n}` });
}

const numbers = (letters: readonly { body: { n: number } }[]) => letters.map(({ body }) => body.n);

describe('a replay whose connections are lost', () => {
  it('rejects and says what that means, keeps every letter, and can be called again for the rest', async () => {
    await using vhost = await createVhost();
    await withLetters(vhost, 20);
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 20 } });
    const letters = broker.deadLetters(jobs);
    const events = recordEvents(broker);
    const replaying = letters.replay({
      filter: async ({ body }) => {
        if (body.n === 10) {
          proxy.cutAll();
          await expect.poll(() => events.of('disconnected').length).toBe(1);
        }
        return true;
      },
    });
    await expect(replaying).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      retryable: true,
      message: expect.stringMatching(
        /^The replay of 'jobs\.dead' was interrupted after \d+ dead letters .* No message was lost/,
      ),
    });
    const depths = async () => [
      await queueDepth(vhost.url, 'jobs'),
      await queueDepth(vhost.url, 'jobs.dead'),
    ];
    await expect
      .poll(async () => (await depths()).reduce((a, b) => a + b), { timeout: 10_000 })
      .toBeGreaterThanOrEqual(20);
    await letters.replay();
    expect(await queueDepth(vhost.url, 'jobs.dead')).toBe(0);
    await using other = await otherClient(vhost.url);
    const back = await other.takeAll('jobs', 20);
    const ids = new Set(back.map(({ properties }) => Number(properties.messageId)));
    expect([...ids].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  });

  it('is begun again by a list, which changes nothing', async () => {
    await using vhost = await createVhost();
    await withLetters(vhost, 5);
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 20 } });
    const letters = broker.deadLetters(jobs);
    expect(numbers(await letters.list())).toEqual([0, 1, 2, 3, 4]);
    proxy.cutAll();
    const listed = await letters.list();
    expect(numbers(listed)).toEqual([0, 1, 2, 3, 4]);
  });
});

describe('a replay', () => {
  it('rejects as the server does when the dead-letter queue may not be read', async () => {
    await using vhost = await createVhost();
    await withLetters(vhost, 1);
    const user = `${vhost.name}-user`;
    await vhost.management.createUser(user, 'secret', { read: '^jobs$', write: '.*', configure: '.*' });
    try {
      const url = new URL(vhost.url);
      url.username = user;
      url.password = 'secret';
      await using broker = await Broker.connect(url.href);
      await expect(broker.deadLetters(jobs).replay()).rejects.toMatchObject({
        name: 'TopologyError',
        code: 'ACCESS_REFUSED',
        message: expect.stringContaining('jobs.dead'),
      });
    } finally {
      await vhost.management.deleteUser(user);
    }
    expect(await queueDepth(vhost.url, 'jobs.dead')).toBe(1);
  });

  it('puts thousands back in seconds, in their order', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(jobs);
    await using other = await otherClient(vhost.url);
    const count = 3_000;
    for (let n = 0; n < count; n++)
      other.channel.sendToQueue('jobs.dead', Buffer.from(JSON.stringify({ n })));
    await other.channel.waitForConfirms();
    const startedAt = performance.now();
    expect(await broker.deadLetters(jobs).replay()).toEqual({ replayed: count, invalid: 0, skipped: 0 });
    console.log(`${count} letters replayed in ${Math.round(performance.now() - startedAt)} ms`);
    const back = await other.takeAll('jobs', count);
    expect(back.map(({ content }) => JSON.parse(content.toString()).n as number)).toEqual(
      Array.from({ length: count }, (_, n) => n),
    );
  });
});
