import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker, queue } from 'leveret';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../helpers/recorded-events.js';
import { createVhost, type PrivateServer, queueDepth, startPrivateServer } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';
import { WireLog } from '../helpers/wire-log.js';
import { type Entry, readJournal } from './harness/journal.js';
import { Program } from './harness/program.js';
import { measured } from './measured.js';
import { jobs, work } from './programs/workload.js';

const numbers = queue('numbers', z.object({ n: z.number() }));

let server: PrivateServer;
let folder: string;
beforeAll(async () => {
  server = await startPrivateServer();
  folder = await mkdtemp(join(tmpdir(), 'leveret-consuming-'));
});
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** A process that consumes; its slow messages take as long as a test needs. */
function consumerProgram(name: string, url: string, slowMs: number): Program {
  return new Program('consumer', folder, {
    name,
    url,
    slowMs,
    client: 'leveret',
    rate: 0,
    seed: 1,
    isPlain: true,
  });
}

async function noted(program: Program): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of readJournal(program.journal)) entries.push(entry);
  return entries;
}

const hasNoted = (program: Program, e: Entry['e'], k?: string) => async () =>
  (await noted(program)).some(
    (entry) => entry.e === e && (k === undefined || ('k' in entry && entry.k === k)),
  );

describe('a handler that blocks the event loop for longer than the heartbeat allows', () => {
  it('loses its connection and not its message, and nothing unknown is acknowledged', {
    timeout: 90_000,
  }, async () => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    // Its own process: the proxy has to go on.
    const program = consumerProgram('blocking', proxy.via(vhost.url), 1);
    await using _program = program;
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(work);
    await expect.poll(hasNoted(program, 'ready'), { timeout: 30_000 }).toBe(true);
    await broker.producer(work).send({ k: 'a', kind: 'blocking', pad: '' });
    await expect.poll(hasNoted(program, 'end', 'a'), { timeout: 30_000 }).toBe(true);
    await broker.producer(work).send({ k: 'b', kind: 'plain', pad: '' });
    await expect.poll(hasNoted(program, 'end', 'b'), { timeout: 30_000 }).toBe(true);
    program.stop();
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(program.stderr).toBe('');
    expect(await queueDepth(vhost.url, 'work')).toBe(0);
    const refusals = wire.of('channel.close', 'to-client').map(({ payload }) => payload.toString('latin1'));
    expect(refusals.filter((text) => text.includes('unknown delivery tag'))).toEqual([]);
    const runs = (await noted(program)).filter((it) => it.e === 'start' && it.k === 'a');
    // Its success was too late to be acknowledged, and is remembered.
    expect(runs.length).toBe(1);
    const outages = (await noted(program)).filter((it) => it.e === 'event' && it.name === 'disconnected');
    expect(outages.length).toBeGreaterThan(0);
  });
});

describe('a process that is killed in a handler', () => {
  it('leaves its message to another one at once, marked as redelivered', { timeout: 90_000 }, async ({
    task,
  }) => {
    await using vhost = await createVhost(server);
    const program = consumerProgram('killed', vhost.url, 60_000);
    await using _program = program;
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(work);
    await expect.poll(hasNoted(program, 'ready'), { timeout: 30_000 }).toBe(true);
    await broker.producer(work).send({ k: 'a', kind: 'slow', pad: '' });
    await expect.poll(hasNoted(program, 'start', 'a'), { timeout: 30_000 }).toBe(true);
    const taken: { redelivered: boolean; attempt: number }[] = [];
    await broker.consumer(work, ({ redelivered, attempt }) => void taken.push({ redelivered, attempt }))
      .ready;
    const killedAt = performance.now();
    await program.kill();
    await expect
      .poll(() => taken, { timeout: 10_000, interval: 5 })
      .toEqual([{ redelivered: true, attempt: 2 }]);
    measured(task, `another worker had it after ${Math.round(performance.now() - killedAt)} ms`);
  });
});

describe('a process that is told to end while it has much to do', () => {
  it('ends its handlers, gives the rest back, and exits by itself', { timeout: 90_000 }, async () => {
    await using vhost = await createVhost(server);
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(work, jobs);
    const all = Array.from({ length: 500 }, (_, n) => `m-${n}`);
    await broker.producer(work).sendAll(all.map((k) => ({ k, kind: 'slow' as const, pad: '' })));
    const program = consumerProgram('ended', vhost.url, 300);
    await using _program = program;
    await expect.poll(hasNoted(program, 'end'), { timeout: 30_000 }).toBe(true);
    program.stop();
    expect(await program.exited).toEqual({ code: 0, signal: null });
    expect(program.stderr).toBe('');
    const entries = await noted(program);
    const done = new Set(entries.flatMap((it) => (it.e === 'end' ? [it.k] : [])));
    expect(entries.filter(({ e }) => e === 'start').length).toBe(
      entries.filter(({ e }) => e === 'end').length,
    );
    expect(entries.at(-1)).toMatchObject({ e: 'closed', clean: true });
    await expect.poll(() => queueDepth(vhost.url, 'work'), { timeout: 10_000 }).toBe(all.length - done.size);
  });
});

describe('a message that kills its worker each time', () => {
  it('is a dead letter when its queue has had enough of it', { timeout: 90_000 }, async ({ task }) => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    const poisoned = queue('poisoned', z.object({ n: z.number() }), { deliveryLimit: 3 });
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(poisoned);
    await broker.producer(poisoned).send({ n: 1 });
    const isDead = async () => (await queueDepth(vhost.url, 'poisoned.dead')) === 1;
    let deaths = 0;
    for (; deaths < 12 && !(await isDead()); deaths++) {
      const worker = await Broker.connect(proxy.via(vhost.url));
      let isDying = false;
      worker.consumer(poisoned, async () => {
        isDying = true;
        await new Promise(() => undefined);
      });
      await expect.poll(async () => isDying || (await isDead()), { timeout: 20_000 }).toBe(true);
      proxy.cutAll();
      await worker.close({ timeoutMs: 0 });
      await expect
        .poll(async () => (await isDead()) || (await queueDepth(vhost.url, 'poisoned')) === 1, {
          timeout: 20_000,
        })
        .toBe(true);
    }
    measured(task, `dead after ${deaths} workers (delivery limit 3)`);
    expect(await isDead()).toBe(true);
  });
});

describe('a message from a broken peer', () => {
  /** Spoils each delivery with the header `poison` on its way to the client, for as long as `isPoisoned()`. */
  function poison(
    proxy: TcpProxy,
    isPoisoned: () => boolean,
    spoil: (chunk: Buffer, at: number) => void,
  ): void {
    proxy.intercept((chunk, direction) => {
      const at = chunk.indexOf('poisonS', 0, 'latin1');
      if (!isPoisoned() || direction === 'to-server' || at < 0) return [chunk];
      const spoiled = Buffer.from(chunk);
      spoil(spoiled, at);
      return [spoiled];
    });
  }

  it('is a dead letter when its headers cannot be read, and costs no connection', {
    timeout: 60_000,
  }, async () => {
    // Only frames of our own: amqplib closes the connection over properties that it cannot read.
    vi.stubEnv('LEVERET_AMQPLIB_FRAMES', undefined);
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    await using direct = await Broker.connect(vhost.url);
    await direct.declare(numbers);
    const producer = direct.producer(numbers);
    await producer.send({ n: 1 }, { headers: { poison: 'ABCDEF' } });
    await producer.send({ n: 2 });
    // No type of field has this tag.
    poison(
      proxy,
      () => true,
      (chunk, at) => chunk.writeUInt8(0x5a, at + 'poison'.length),
    );
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const events = recordEvents(broker);
    const handled: number[] = [];
    broker.consumer(numbers, ({ body }) => void handled.push(body.n));
    await expect.poll(() => handled, { timeout: 30_000 }).toEqual([2]);
    await expect.poll(() => events.of('dead-lettered').length).toBe(1);
    expect(events.of('disconnected')).toEqual([]);
    const [letter] = await direct.deadLetters(numbers).list();
    expect(letter).toMatchObject({ body: { n: 1 }, error: { code: 'INVALID_BODY' } });
  });

  it('costs a connection each time when its frame cannot be read, at a pace that slows down', {
    timeout: 90_000,
  }, async ({ task }) => {
    await using vhost = await createVhost(server);
    await using proxy = await TcpProxy.listen(vhost.url);
    await using direct = await Broker.connect(vhost.url);
    await direct.declare(numbers);
    await direct.producer(numbers).send({ n: 1 }, { headers: { poison: 'ABCDEF' } });
    let isPoisoned = true;
    // The content header ends with another byte than a frame has to. A body frame follows it.
    poison(
      proxy,
      () => isPoisoned,
      (chunk, at) => chunk.writeUInt8(0, chunk.indexOf(Buffer.from([0xce, 3]), at)),
    );
    // Every delay is as long as it may be.
    vi.spyOn(Math, 'random').mockReturnValue(0.99);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const events = recordEvents(broker);
    const handled: number[] = [];
    broker.consumer(numbers, ({ body }) => void handled.push(body.n));
    const startedAt = performance.now();
    await expect.poll(() => events.of('disconnected').length, { timeout: 60_000 }).toBeGreaterThanOrEqual(6);
    const attempts = proxy.accepted;
    measured(task, `${attempts} connections in ${Math.round(performance.now() - startedAt)} ms`);
    const pauses = events.of('disconnected').map(({ delayMs }) => delayMs);
    // 100 ms, 200 ms, 400 ms … at most: each success of a connection between them changes nothing.
    for (const [n, delayMs] of pauses.entries()) {
      expect(delayMs).toBeGreaterThan(0.9 * 100 * 2 ** n);
      expect(delayMs).toBeLessThanOrEqual(100 * 2 ** n);
    }
    expect(attempts).toBeLessThanOrEqual(2 + pauses.length);
    isPoisoned = false;
    await expect.poll(() => handled, { timeout: 30_000 }).toEqual([1]);
  });
});
