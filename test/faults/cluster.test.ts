import { setTimeout as delay } from 'node:timers/promises';
import { Broker, type QueueContract, queue } from 'leveret';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { type PrivateServer, startPrivateCluster } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';
import { measured } from './measured.js';

const body = z.object({ n: z.number() });

/** Three nodes, each behind a proxy of its own. */
let nodes: PrivateServer[] = [];
let proxies: TcpProxy[] = [];
let urls: string[] = [];
let round = 0;

beforeAll(async () => {
  // Soon, so that a test need not wait for a minute until a node that stands still counts as gone.
  nodes = await startPrivateCluster(3, {
    configuration: ['net_ticktime = 8', 'cluster_partition_handling = pause_minority'],
  });
  proxies = await Promise.all(nodes.map(({ url }) => TcpProxy.listen(url)));
  urls = nodes.map(({ url }, n) => (proxies[n] as TcpProxy).via(url));
  await vi.waitFor(() => isWhole(0), { timeout: 60_000, interval: 500 });
}, 180_000);

afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.close()));
  for (const node of nodes.toReversed()) await node.stop();
});

beforeEach(() => {
  round++;
});

/** Whatever a test has left, the next one finds all of them at work. */
afterEach(async () => {
  await Promise.all(nodes.map((it) => it.unpause()));
  await Promise.all(nodes.map((it) => it.start()));
  for (const n of nodes.keys()) {
    await show(n);
    // One that was out of the cluster for a while may stay out until it is started again.
    await vi.waitFor(() => isWhole(n), { timeout: 20_000, interval: 500 }).catch(() => startAgain(n));
  }
}, 240_000);

async function startAgain(n: number): Promise<void> {
  await node(n).kill();
  await node(n).start();
}

async function isWhole(n: number): Promise<void> {
  if ((await runningNodes(n)) !== nodes.length) throw new Error(`Node ${n} does not see all of them.`);
}

/** How many nodes of the cluster run, as one of them sees it. */
async function runningNodes(n: number): Promise<number> {
  const list = await node(n).management.request<{ running: boolean }[]>('GET', 'nodes');
  return list.filter(({ running }) => running).length;
}

function node(n: number): PrivateServer {
  return nodes[n] as PrivateServer;
}

/** A refused port instead of a proxy that accepts and cannot go on. */
async function hide(n: number): Promise<void> {
  await proxies[n]?.refuse(true);
  proxies[n]?.cutAll();
}

async function show(n: number): Promise<void> {
  await proxies[n]?.refuse(false);
}

async function whole(): Promise<void> {
  for (const n of nodes.keys())
    await expect.poll(() => runningNodes(n).catch(() => 0), { timeout: 90_000, interval: 500 }).toBe(3);
}

/** The number of the node where the leader of a queue is. */
async function leaderOf(name: string, asked = 0): Promise<number> {
  const { leader } = await node(asked).management.request<{ leader?: string }>('GET', `queues/%2F/${name}`);
  return nodes.findIndex(({ url }) => leader?.includes(new URL(url).port));
}

/** Sends and consumes all the time, and knows what became of each message. */
async function traffic(contract: QueueContract<typeof body>) {
  const broker = await Broker.connect(urls, {
    heartbeatSeconds: 1,
    reconnect: { initialDelayMs: 50, maxDelayMs: 500 },
  });
  const handled = new Set<number>();
  const sent: number[] = [];
  const failed: unknown[] = [];
  let longestGapMs = 0;
  let confirmedAt = performance.now();
  const consumer = broker.consumer(contract, ({ body: { n } }) => void handled.add(n), { concurrency: 5 });
  await consumer.ready;
  const producer = broker.producer(contract, { timeoutMs: 60_000 });
  await producer.send({ n: 0 });
  confirmedAt = performance.now();
  let isOn = true;
  let n = 0;
  const pending = new Set<Promise<void>>();
  const loop = (async () => {
    while (isOn) {
      for (let left = 5; left > 0 && pending.size < 500; left--) {
        const it = ++n;
        const settled = producer.send({ n: it }).then(
          () => {
            sent.push(it);
            longestGapMs = Math.max(longestGapMs, performance.now() - confirmedAt);
            confirmedAt = performance.now();
          },
          (error: unknown) => void failed.push(error),
        );
        pending.add(settled);
        void settled.finally(() => pending.delete(settled));
      }
      await delay(20);
    }
    await Promise.all(pending);
  })();
  return {
    broker,
    consumer,
    producer,
    handled,
    sent,
    failed,
    /** The longest time without a confirm since it was last asked. */
    gap() {
      const ms = Math.max(longestGapMs, performance.now() - confirmedAt);
      longestGapMs = 0;
      return ms;
    },
    /** Waits for so many more confirms. */
    async more(count: number, timeoutMs = 60_000) {
      const until = sent.length + count;
      await expect
        .poll(() => sent.length, { timeout: timeoutMs, interval: 20 })
        .toBeGreaterThanOrEqual(until);
    },
    async stop() {
      isOn = false;
      await loop;
    },
    missing: () => sent.filter((it) => !handled.has(it)),
    async [Symbol.asyncDispose]() {
      isOn = false;
      await broker.close({ timeoutMs: 5_000 });
    },
  };
}

const tasks = () => queue(`tasks-${round}`, body);

describe('the leader of a quorum queue that', { timeout: 240_000 }, () => {
  it.for<[string, (n: number) => Promise<void>, (n: number) => Promise<void>]>([
    ['is stopped in order', async (n) => node(n).shutdown(), async (n) => node(n).start()],
    ['is killed', async (n) => node(n).kill(), async (n) => node(n).start()],
    [
      'stands still',
      async (n) => node(n).pause(),
      async (n) => {
        await node(n).unpause();
        await startAgain(n);
      },
    ],
  ])(
    '%s is replaced: everything goes on, and nothing confirmed is lost',
    async ([what, lose, bringBack], { task }) => {
      const contract = tasks();
      await using it = await traffic(contract);
      await it.more(50);
      const leader = await leaderOf(contract.name);
      expect(leader).toBeGreaterThanOrEqual(0);
      it.gap();
      await lose(leader);
      if (what !== 'stands still') await hide(leader);
      await it.more(100);
      const gapMs = it.gap();
      await bringBack(leader);
      await show(leader);
      await it.more(50);
      await whole();
      await it.more(50);
      await it.stop();
      console.log(
        `${node(0).version}, a leader that ${what}: ${Math.round(gapMs)} ms without a confirm, ${it.sent.length} sent`,
      );
      measured(task, `${Math.round(gapMs)} ms without a confirm`);
      await expect.poll(it.missing, { timeout: 30_000 }).toEqual([]);
      expect(it.failed).toEqual([]);
      // Three seconds are promised, on machines of their own. One that stands still is found out by the others after
      // `net_ticktime`; on 3.10 a channel that published before can then be silent for 7 s, and the next one as well.
      expect(gapMs).toBeLessThan(45_000);
    },
  );
});

describe('a cluster', { timeout: 300_000 }, () => {
  it('with two of three nodes gone lets each send settle at its own limit, and takes them when it is whole again', async ({
    task,
  }) => {
    const contract = tasks();
    await using it = await traffic(contract);
    await it.stop();
    // Two members that know nothing of a queue declared a moment ago would begin it anew, against the third, which does.
    await Promise.all(nodes.map((each) => each.settleMetadata()));
    for (const n of [1, 2]) {
      await node(n).kill();
      await hide(n);
    }
    const startedAt = performance.now();
    const error = await it.producer.send({ n: -1 }, { timeoutMs: 3_000 }).catch((reason: unknown) => reason);
    const afterMs = performance.now() - startedAt;
    expect(error).toMatchObject({ code: 'TIMEOUT' });
    expect(afterMs).toBeLessThan(8_000);
    measured(task, `a send with a limit of 3 s failed after ${Math.round(afterMs)} ms`);
    const patient = it.producer.send({ n: -2 }, { timeoutMs: 200_000 });
    await Promise.all([1, 2].map((n) => node(n).start()));
    for (const n of [1, 2]) await show(n);
    await patient;
    await expect.poll(() => it.handled.has(-2), { timeout: 60_000 }).toBe(true);
    await whole();
  });

  it('whose node with a classic queue is gone does not count that queue as missing', async ({ task }) => {
    const contract = queue(`homed-${round}`, body, { type: 'classic' });
    // Where it is declared is where it lives.
    await using owner = await Broker.connect(node(2).url);
    await owner.declare(contract);
    await owner.close();
    await using broker = await Broker.connect([urls[0] as string, urls[1] as string]);
    const handled: number[] = [];
    const consumer = broker.consumer(contract, ({ body: { n } }) => void handled.push(n));
    await consumer.ready;
    const producer = broker.producer(contract, { timeoutMs: 200_000 });
    await producer.send({ n: 1 });
    await expect.poll(() => handled).toEqual([1]);
    await node(2).shutdown();
    // The server takes it back, or from 4.3 on refuses it.
    const sent = producer.send({ n: 2 }).catch((error: unknown) => {
      expect(error).toMatchObject({ code: 'REJECTED' });
    });
    const other = broker.producer(contract, { timeoutMs: 2_000 });
    const early = await other.send({ n: 3 }).catch(({ code }: { code: string }) => code);
    expect(['TIMEOUT', 'REJECTED']).toContain(early);
    await node(2).start();
    const startedAt = performance.now();
    await sent;
    await producer.send({ n: 4 });
    await expect.poll(() => handled, { timeout: 30_000 }).toContain(4);
    measured(task, `at work ${Math.round(performance.now() - startedAt)} ms after the node was back`);
    await whole();
  });

  it('that is cut in two goes on where the majority is', async ({ task }) => {
    const contract = tasks();
    await using it = await traffic(contract);
    await it.more(50);
    const leader = await leaderOf(contract.name);
    const name = (n: number) => `'leveret${new URL(node(n).url).port}@localhost'`;
    const others = [0, 1, 2].filter((n) => n !== leader);
    it.gap();
    const cut = others
      .map((n) => `erlang:set_cookie(${name(n)}, cut), erlang:disconnect_node(${name(n)})`)
      .join(', ');
    await node(leader).ctl('eval', `${cut}.`);
    await it.more(200, 90_000);
    const gapMs = it.gap();
    const heal = others.map((n) => `erlang:set_cookie(${name(n)}, erlang:get_cookie())`).join(', ');
    await node(leader).ctl('eval', `${heal}.`);
    await whole();
    await it.more(50);
    await it.stop();
    measured(task, `${Math.round(gapMs)} ms without a confirm`);
    await expect.poll(it.missing, { timeout: 60_000 }).toEqual([]);
  });

  it('that is restarted node by node never stops, and loses nothing', async ({ task }) => {
    const contract = tasks();
    await using it = await traffic(contract);
    it.gap();
    let slowestMs = 0;
    for (const n of nodes.keys()) {
      await it.more(50);
      await node(n).shutdown();
      await hide(n);
      await it.more(50);
      await node(n).start();
      await show(n);
      await whole();
      slowestMs = Math.max(slowestMs, it.gap());
    }
    await it.more(50);
    await it.stop();
    measured(task, `${it.sent.length} sent, at most ${Math.round(slowestMs)} ms without a confirm`);
    await expect.poll(it.missing, { timeout: 60_000 }).toEqual([]);
    expect(it.failed).toEqual([]);
  });
});
