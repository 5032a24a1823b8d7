import { getEventListeners } from 'node:events';
import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost, queueDepth } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

const numbers = queue('numbers', z.object({ n: z.number() }), { type: 'classic', deadLetter: false });
const lasting = queue('lasting', z.object({ n: z.number() }));

const bodyOf = ({ content }: { content: Buffer }) => (JSON.parse(content.toString()) as { n: number }).n;

describe('a producer', () => {
  it('keeps the order of its sends, however many are under way', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers, { maxInFlight: 37 });
    await Promise.all(Array.from({ length: 2_000 }, (_, n) => producer.send({ n })));
    await using other = await otherClient(vhost.url);
    const taken = await other.takeAll('numbers', 2_000);
    expect(taken.map(bodyOf)).toEqual(Array.from({ length: 2_000 }, (_, n) => n));
  });

  it('sends what was given before there was a connection', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await proxy.refuse(true);
    await using broker = new Broker(proxy.via(vhost.url));
    const producer = broker.producer(numbers);
    const sends = Array.from({ length: 100 }, (_, n) => producer.send({ n }));
    expect(producer.pending).toBe(100);
    await expect.poll(() => broker.state).toMatchObject({ status: 'connecting', error: expect.any(Error) });
    await proxy.refuse(false);
    await Promise.all(sends);
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(100);
  });

  it('settles every send over a lost connection, and sends again with the same id', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 20 } });
    const producer = broker.producer(lasting);
    const total = 5_000;
    let confirmed = 0;
    const sends = Array.from({ length: total }, async (_, n) => {
      const { messageId } = await producer.send({ n });
      confirmed++;
      // In the middle, with a full window under way: twice.
      if (confirmed === 1_500 || confirmed === 3_000) proxy.cutAll();
      return [messageId, n] as const;
    });
    const idOf = new Map(await Promise.all(sends));
    expect(producer.pending).toBe(0);
    expect(idOf.size).toBe(total);
    expect(proxy.accepted).toBe(3);

    await using other = await otherClient(vhost.url);
    const taken = await other.takeAll('lasting', total);
    // Each confirmed one is there under its own id, and what is there twice has the id of the first.
    expect(
      taken.filter((message) => idOf.get(message.properties.messageId as string) !== bodyOf(message)),
    ).toEqual([]);
    expect(new Set(taken.map(({ properties }) => properties.messageId as string)).size).toBe(total);
  });

  it('sends again what was published and not confirmed', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 20 } });
    const producer = broker.producer(numbers);
    await producer.send({ n: 0 });
    await broker.purge(numbers);
    proxy.blackhole('to-client');
    const sends = [1, 2, 3].map((n) => producer.send({ n }));
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(3);
    proxy.cutAll();
    proxy.blackhole(false);
    const receipts = await Promise.all(sends);
    await using other = await otherClient(vhost.url);
    const taken = await other.takeAll('numbers', 6);
    const ids = receipts.map(({ messageId }) => messageId);
    expect(taken.map(({ properties }) => properties.messageId as string)).toEqual([...ids, ...ids]);
  });

  it('counts what is pending, and settles it before it is closed', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers, { maxInFlight: 5 });
    const sends = Array.from({ length: 50 }, (_, n) => producer.send({ n }));
    expect(producer.pending).toBe(50);
    const closed = producer.close();
    expect(producer.close()).toBe(closed);
    await expect(producer.send({ n: 50 })).rejects.toMatchObject({ code: 'CLOSED' });
    await closed;
    expect(producer.pending).toBe(0);
    expect((await Promise.allSettled(sends)).every(({ status }) => status === 'fulfilled')).toBe(true);
    await broker.producer(numbers).send({ n: 51 });
    {
      await using scoped = broker.producer(numbers);
      void scoped.send({ n: 52 });
    }
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(52);
  });
});

describe('the signal of a send', () => {
  it('that has aborted rejects it with its own reason before anything is sent', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const reason = new Error('changed my mind');
    const producer = broker.producer(numbers);
    await expect(producer.send({ n: 1 }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    await producer.send({ n: 2 });
    await using other = await otherClient(vhost.url);
    expect((await other.takeAll('numbers', 1)).map(bodyOf)).toEqual([2]);
  });

  it('takes it out of the line while it waits', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const producer = broker.producer(numbers, { maxInFlight: 1 });
    await producer.send({ n: 0 });
    proxy.blackhole('to-client');
    const abort = new AbortController();
    const reason = { not: 'an error' };
    const first = producer.send({ n: 1 });
    const second = producer.send({ n: 2 }, { signal: abort.signal });
    const third = producer.send({ n: 3 });
    abort.abort(reason);
    await expect(second).rejects.toBe(reason);
    expect(producer.pending).toBe(2);
    proxy.blackhole(false);
    await Promise.all([first, third]);
    await using other = await otherClient(vhost.url);
    expect((await other.takeAll('numbers', 3)).map(bodyOf)).toEqual([0, 1, 3]);
  });

  it('gives up one that is on its way', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const producer = broker.producer(numbers);
    await producer.send({ n: 0 });
    proxy.blackhole('to-client');
    const abort = new AbortController();
    const sent = producer.send({ n: 1 }, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(sent).rejects.toThrow('enough');
    expect(producer.pending).toBe(0);
    proxy.blackhole(false);
    await producer.send({ n: 2 });
  });

  it('may be shared by a thousand sends without a warning, and is let go of', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => void warnings.push(warning);
    process.on('warning', onWarning);
    const { signal } = new AbortController();
    const producer = broker.producer(numbers);
    await Promise.all(Array.from({ length: 1_000 }, (_, n) => producer.send({ n }, { signal })));
    await producer.sendAll(
      Array.from({ length: 1_000 }, (_, n) => ({ n })),
      { signal },
    );
    // Node warns in the next tick.
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('sendAll', () => {
  it('sends everything, says how far it is, and names what failed', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const bodies = Array.from({ length: 3_000 }, (_, n) =>
      n % 1_000 === 999 ? { n: 'wrong' as never } : { n },
    );
    const progress: { sent: number; failed: number; total: number | undefined }[] = [];
    const result = await broker.producer(numbers).sendAll(bodies, { onProgress: (it) => progress.push(it) });
    expect(result.sent).toBe(2_997);
    expect(result.failed).toEqual(
      [999, 1_999, 2_999].map((index) => ({
        index,
        body: { n: 'wrong' },
        error: expect.objectContaining({ code: 'INVALID_BODY' }),
      })),
    );
    expect(progress.at(-1)).toEqual({ sent: 2_997, failed: 3, total: 3_000 });
    const counts = progress.map(({ sent }) => sent);
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    await using other = await otherClient(vhost.url);
    expect((await other.takeAll('numbers', 2_997)).length).toBe(2_997);
  });

  it('takes from a generator only as fast as the server confirms', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers, { maxInFlight: 7 });
    let given = 0;
    let most = 0;
    async function* source() {
      for (let n = 0; n < 100; n++) {
        given++;
        most = Math.max(most, producer.pending);
        yield { n };
      }
    }
    expect(await producer.sendAll(source())).toEqual({ sent: 100, failed: [] });
    expect(given).toBe(100);
    expect(most).toBeLessThanOrEqual(7);
    expect(most).toBeGreaterThan(1);
  });

  it('rejects with what the iterable throws, after what was begun is settled', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const producer = broker.producer(numbers);
    function* source() {
      yield { n: 1 };
      yield { n: 2 };
      throw new Error('the source is dry');
    }
    await expect(producer.sendAll(source())).rejects.toThrow('the source is dry');
    expect(producer.pending).toBe(0);
    await expect.poll(() => queueDepth(vhost.url, 'numbers')).toBe(2);
  });
});
