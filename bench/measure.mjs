// One measurement of one client, in a process of its own, which the program `run.ts` starts and talks to.
import { performance } from 'node:perf_hooks';
import { bodyOf, pump } from './clients/common.mjs';

const { client, workload, url, queue, type, prefetch, count, warmUp, window, bodyBytes } = JSON.parse(
  process.argv[2],
);
const { open } = await import(`./clients/${client}.mjs`);
const pad = 'x'.repeat(Math.max(0, bodyBytes - 80));

/** Tells the parent that the measurement is about to begin, which notes what the server has used until now. */
async function begin() {
  process.send({ event: 'begin' });
  await new Promise((resolve) => process.once('message', resolve));
  globalThis.gc?.();
  return { at: performance.now(), cpu: process.cpuUsage() };
}

function since({ at, cpu }) {
  const { user, system } = process.cpuUsage(cpu);
  return { ms: performance.now() - at, cpuUs: user + system };
}

/** Counts handled messages, and resolves at a number of them. */
function counter() {
  let handled = 0;
  const goals = [];
  return {
    handle: () => {
      handled++;
      if (goals[0]?.at === handled) goals.shift().reach();
    },
    reached: (at) => new Promise((reach) => goals.push({ at, reach })),
  };
}

const workloads = {
  async publish(it) {
    const send = await it.sender();
    await pump(send, warmUp, window, pad);
    const start = await begin();
    await pump(send, count, window, pad);
    return since(start);
  },
  async sendAll(it) {
    await it.sendAll(warmUp, pad);
    const start = await begin();
    await it.sendAll(count, pad);
    return since(start);
  },
  consume: (it) => consumed((handle) => it.consume(handle, prefetch)),
  loop: (it) => consumed((handle) => it.loop(handle, prefetch)),
  /** The queue is empty once the first ones are handled, and is then filled again. */
  async refilled(it) {
    const { handle, reached } = counter();
    const [warm, first, done] = [warmUp, warmUp + 1, warmUp + count].map(reached);
    await it.consume(handle, prefetch);
    await warm;
    process.send({ event: 'empty' });
    await first;
    const start = { at: performance.now(), cpu: process.cpuUsage() };
    process.send({ event: 'begin' });
    await done;
    return since(start);
  },
  /** Other processes take from the same queue. It ends when no more comes. */
  async shared(it) {
    process.send({ event: 'begin' });
    const cpu = process.cpuUsage();
    let [handled, from, to] = [0, 0, 0];
    await it.consume(() => {
      to = Date.now();
      if (handled++ === 0) from = to;
    }, prefetch);
    for (let before = -1; before !== handled || handled === 0; ) {
      before = handled;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    const { user, system } = process.cpuUsage(cpu);
    return { handled, from, to, ms: to - from, cpuUs: user + system };
  },
  async latency(it) {
    const send = await it.sender();
    let arrived = () => {};
    await it.consume(() => arrived(), prefetch);
    return oneAtATime(async (n) => {
      const handled = new Promise((resolve) => {
        arrived = resolve;
      });
      const sent = send(bodyOf(n, pad));
      await handled;
      const at = performance.now();
      await sent;
      return at;
    });
  },
  async request(it) {
    const ask = await it.requester();
    return oneAtATime(async (n) => {
      await ask(`A${n}`);
      return performance.now();
    });
  },
  async start(it) {
    const send = await it.sender();
    await send(bodyOf(1, pad));
    return { ms: performance.now(), cpuUs: process.cpuUsage().user + process.cpuUsage().system };
  },
};

/** The queue holds the messages already. The first ones warm up. */
async function consumed(consume) {
  const { handle, reached } = counter();
  const [warm, done] = [reached(warmUp), reached(warmUp + count)];
  await consume(handle);
  await warm;
  const start = { at: performance.now(), cpu: process.cpuUsage() };
  process.send({ event: 'begin' });
  await done;
  return since(start);
}

/** How long each takes, one after the other: the middle and the slowest of a hundred. */
async function oneAtATime(once) {
  for (let n = 0; n < warmUp; n++) await once(n);
  const start = await begin();
  const took = new Float64Array(count);
  for (let n = 0; n < count; n++) {
    const at = performance.now();
    took[n] = (await once(n)) - at;
  }
  took.sort();
  return { ...since(start), p50: took[Math.floor(count * 0.5)], p99: took[Math.floor(count * 0.99)] };
}

const it = await open({ url, queue, type, prefetch });
const result = await workloads[workload](it);
process.send({ event: 'result', ...result, maxRssKiB: process.resourceUsage().maxRSS });
await it.close();
process.disconnect();
