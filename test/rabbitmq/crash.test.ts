import { connect as connectSocket } from 'node:net';
import { connect } from 'amqplib';
import { Broker, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { queueDepth, startPrivateServer } from '../helpers/server/index.js';

const SENDS = 20_000;
const KILL_AFTER = 5_000;

describe('a server that is killed and started again', () => {
  it('loses no confirmed message, settles every send, and confirms the next one within a second', async () => {
    await using server = await startPrivateServer();
    const tasks = queue('tasks', z.object({ n: z.number().int() }));
    await using broker = await Broker.connect(server.url, { name: 'crash' });
    await broker.declare(tasks);
    await server.settleMetadata();

    const handled = new Map<number, { times: number; readonly ids: Set<string | undefined> }>();
    const consumers = [1, 2].map(() =>
      broker.consumer(
        tasks,
        async ({ body, id }) => {
          if (body.n < 0) return;
          const seen = handled.get(body.n) ?? { times: 0, ids: new Set() };
          seen.times++;
          seen.ids.add(id);
          handled.set(body.n, seen);
        },
        { concurrency: 5, prefetch: 100 },
      ),
    );
    await Promise.all(consumers.map(({ ready }) => ready));

    const producer = broker.producer(tasks);
    const resolved: number[] = [];
    const failed: unknown[] = [];
    let outage: Promise<number> | undefined;
    let reopenedAt = Number.POSITIVE_INFINITY;
    let firstConfirmAfterMs = Number.POSITIVE_INFINITY;
    let possibleAfterMs = 0;

    const crash = async () => {
      await server.kill();
      const started = server.start();
      reopenedAt = await portOpens(new URL(server.url));
      await confirmFrom(server.url, 'tasks');
      possibleAfterMs = performance.now() - reopenedAt;
      await started;
      return reopenedAt;
    };
    const send = async (n: number) => {
      try {
        await producer.send({ n });
        resolved.push(n);
        const afterMs = performance.now() - reopenedAt;
        if (afterMs > 0) firstConfirmAfterMs = Math.min(firstConfirmAfterMs, afterMs);
      } catch (error) {
        failed.push(error);
      }
      if (resolved.length === KILL_AFTER) outage = crash();
    };
    const sends: Promise<void>[] = [];
    for (let n = 0; n < SENDS; n++) {
      sends.push(send(n));
      // Some are under way all the time, and the whole takes longer than the outage.
      if (sends.length % 500 === 0) await sends[sends.length - 500];
    }
    await Promise.all(sends);
    await outage;

    expect(resolved.length + failed.length).toBe(SENDS);
    expect(failed).toEqual([]);
    await expect.poll(() => resolved.filter((n) => !handled.has(n)).length, { timeout: 30_000 }).toBe(0);
    await expect.poll(() => queueDepth(server.url, 'tasks'), { timeout: 30_000 }).toBe(0);
    // A server that needs longer by itself is given that.
    expect(firstConfirmAfterMs).toBeLessThan(Math.max(1_000, possibleAfterMs + 500));
    // What was published twice can be recognised: a resend has the id of the first.
    expect([...handled.values()].filter(({ ids }) => ids.size > 1)).toEqual([]);
    const duplicates = [...handled.values()].filter(({ times }) => times > 1).length;
    console.log(
      `${server.version}: ${resolved.length} sent, ${handled.size} handled, ${duplicates} twice, ` +
        `first confirm ${Math.round(firstConfirmAfterMs)} ms after the port opened ` +
        `(${Math.round(possibleAfterMs)} ms of a client that does nothing but try)`,
    );
  }, 120_000);
});

/** When the port takes connections again, after it has refused them. */
async function portOpens({ hostname, port }: URL): Promise<number> {
  while (true) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connectSocket(Number(port), hostname)
        .once('connect', () => resolve(true))
        .once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (isOpen) return performance.now();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** When the server confirms a message of a client that tries without a pause. */
async function confirmFrom(url: string, queue: string): Promise<void> {
  while (true) {
    try {
      const connection = await connect(url);
      connection.on('error', () => undefined);
      const channel = await connection.createConfirmChannel();
      channel.sendToQueue(queue, Buffer.from('{"n":-1}'));
      await channel.waitForConfirms();
      await connection.close();
      return;
    } catch {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}
