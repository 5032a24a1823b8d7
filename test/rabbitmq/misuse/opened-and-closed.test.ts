import { Broker, procedure, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { type: 'classic', deadLetter: false });
const doubled = procedure('doubled', { request: z.number(), response: z.number() });
const ROUNDS = 30;

describe('on one broker', () => {
  it('producers, consumers, loops and responders that come and go leave no channel and no listener', {
    timeout: 120_000,
  }, async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning);
    process.on('warning', onWarning);
    try {
      await using broker = await Broker.connect(proxy.via(vhost.url));
      // One for all of them, as that of a server that shuts down.
      const { signal } = new AbortController();
      const useAll = async (n: number) => {
        const got: number[] = [];
        const producer = broker.producer(numbers);
        const consumer = broker.consumer(numbers, ({ body }) => void got.push(body.n), { signal });
        await consumer.ready;
        await producer.send({ n }, { signal });
        await expect.poll(() => got, { timeout: 10_000, interval: 5 }).toEqual([n]);
        await consumer.close();
        await producer.send({ n }, { signal });
        for await (const message of broker.consumer(numbers, { signal })) {
          message.ack();
          break;
        }
        await producer.close();
        const responder = broker.responder(doubled, ({ body }) => 2 * body, { signal });
        await responder.ready;
        expect(await broker.request(doubled, n, { signal })).toBe(2 * n);
        await responder.close();
      };
      for (let n = 1; n <= ROUNDS; n++) await useAll(n);
      // Those that requests and republished messages share, and no more the more rounds there are.
      const channels = () => wire.of('20.10', 'to-server').length - wire.of('channel.close').length;
      expect(wire.of('20.10').length).toBeGreaterThan(3 * ROUNDS);
      await expect.poll(channels, { timeout: 10_000 }).toBeLessThan(8);
      expect({ accepted: proxy.accepted, connections: proxy.connections }).toEqual({
        accepted: 2,
        connections: 2,
      });
      expect(broker.health()).toMatchObject({ status: 'up', consumers: [], producers: [] });
      expect(warnings).toEqual([]);
    } finally {
      process.off('warning', onWarning);
    }
  });
});
