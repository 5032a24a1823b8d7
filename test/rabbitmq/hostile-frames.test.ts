import { Broker, queue } from 'leveret';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { createVhost } from '../helpers/server/index.js';
import { type Intercept, TcpProxy } from '../helpers/tcp-proxy.js';

const notes = queue('notes', z.object({ note: z.number() }), { retry: { attempts: 3, initialDelayMs: 0 } });
const bodies = Array.from({ length: 200 }, (_, note) => ({ note }));

afterEach(() => void vi.unstubAllEnvs());

/** A consumer behind a proxy that changes what the server sends, and the notes that it has handled. */
async function consumeThrough(intercept: Intercept) {
  const vhost = await createVhost();
  const sender = await Broker.connect(vhost.url);
  await sender.declare(notes);
  const proxy = await TcpProxy.listen(vhost.url);
  const broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 10 } });
  const events = recordEvents(broker);
  proxy.intercept(intercept);
  const handled = new Set<number>();
  const consumer = broker.consumer(notes, ({ body }) => void handled.add(body.note), { concurrency: 20 });
  await consumer.ready;
  return {
    sender,
    broker,
    consumer,
    events,
    handled,
    async [Symbol.asyncDispose]() {
      await broker.close({ timeoutMs: 1_000 });
      await sender.close();
      await proxy[Symbol.asyncDispose]();
      await vhost[Symbol.asyncDispose]();
    },
  };
}

describe('frames that were tampered with', () => {
  it('are put together again however they are split', async () => {
    const byBytes: Intercept = (chunk, direction) =>
      direction === 'to-client' ? Array.from(chunk, (_, at) => chunk.subarray(at, at + 1)) : [chunk];
    await using bench = await consumeThrough(byBytes);
    await bench.sender.producer(notes).sendAll(bodies);
    await expect.poll(() => bench.handled.size).toBe(bodies.length);
    expect(bench.consumer.stats.invalid).toBe(0);
  });

  it('cost the message when only its properties are wrong: it is dead-lettered with the reason', async () => {
    // Only frames of our own: amqplib closes the connection over properties that it cannot read.
    vi.stubEnv('LEVERET_AMQPLIB_FRAMES', undefined);
    // The type of the value of a header that another client might have sent.
    const spoil: Intercept = (chunk) => {
      const at = chunk.indexOf('spoilt');
      if (at >= 0) chunk[at + 6] = 'z'.charCodeAt(0);
      return [chunk];
    };
    await using bench = await consumeThrough(spoil);
    const producer = bench.sender.producer(notes);
    await producer.send({ note: 1 }, { headers: { spoilt: 'text' } });
    await producer.send({ note: 2 });
    await expect.poll(() => bench.handled.has(2)).toBe(true);
    const problem = "its properties cannot be read: a header has a value of the unknown type 'z'";
    await expect
      .poll(() => bench.events.of('invalid-message'))
      .toMatchObject([{ queue: 'notes', issues: [{ message: problem }] }]);
    await expect.poll(async () => (await bench.sender.deadLetters(notes).list()).length).toBe(1);
    expect(bench.handled.has(1)).toBe(false);
    expect(bench.events.of('disconnected')).toEqual([]);
  });

  it('cost the connection when nothing can be trusted any more, and no message', async () => {
    let seenBytes = 0;
    let spoilt = 0;
    // Some byte, a few times: of a length, of a tag, of a body, or where a frame ends.
    const spoil: Intercept = (chunk, direction) => {
      if (direction !== 'to-client') return [chunk];
      seenBytes += chunk.length;
      if (spoilt >= 5 || seenBytes < 4_000 * (spoilt + 1)) return [chunk];
      spoilt++;
      const at = chunk.lastIndexOf(0xce);
      if (at >= 0) chunk[at] = 0;
      return [chunk];
    };
    await using bench = await consumeThrough(spoil);
    await bench.sender.producer(notes).sendAll(bodies);
    await expect.poll(() => bench.handled.size, { timeout: 20_000 }).toBe(bodies.length);
    expect(bench.events.of('disconnected').length).toBeGreaterThan(0);
    await expect.poll(() => bench.sender.stats(notes)).toMatchObject({ messages: 0 });
  });
});
