import { Broker, procedure, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DialledSockets } from '../../helpers/dialled-sockets.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { absenceOf } from '../../helpers/waits.js';

const numbers = queue('numbers', z.object({ n: z.number() }));
const doubled = procedure('doubled', { request: z.number(), response: z.number() });

/** Late on a machine that has much else to do, and far below any limit of the server or of a send. */
const inTimeMs = 4_000;

/** All of the handshake and the first declarations, and every fifth of the hundred that follow. */
const next = (n: number) => n + (n < 16 ? 1 : 5);

/** A broker that begins everything that it can begin. Nothing of it is ever left unhandled. */
function beginEverything(url: string, signal?: AbortSignal) {
  const broker = new Broker(url, { reconnect: { initialDelayMs: 5, maxDelayMs: 20, refusedMaxDelayMs: 20 } });
  const given = signal === undefined ? {} : { signal };
  const loop = broker.consumer(numbers, given);
  const consumer = broker.consumer(numbers, () => undefined, given);
  const responder = broker.responder(doubled, ({ body }) => 2 * body);
  const promises: Readonly<Record<string, Promise<unknown>>> = {
    connect: broker.connect(),
    send: broker.producer(numbers).send({ n: 1 }, given),
    sendAll: broker.producer(numbers).sendAll([{ n: 2 }, { n: 3 }], given),
    delayed: broker.producer(numbers).send({ n: 4 }, { delayMs: 60_000, ...given }),
    ready: consumer.ready,
    next: loop[Symbol.asyncIterator]().next(),
    responder: responder.ready,
    request: broker.request(doubled, 2, given),
    declare: broker.declare(numbers),
    stats: broker.stats(numbers),
  };
  const open = new Set(Object.keys(promises));
  const outcomes = new Map<string, unknown>();
  const settled = Object.entries(promises).map(([name, promise]) =>
    promise
      .then(
        () => outcomes.set(name, 'fulfilled'),
        (error: unknown) => outcomes.set(name, error),
      )
      .finally(() => open.delete(name)),
  );
  const done = Promise.all(settled).then(() => 'done' as const);
  return { broker, consumer, open, outcomes, done };
}

type Begun = ReturnType<typeof beginEverything>;

/** What the server does from one of its answers on. */
const turns: readonly (readonly [string, (proxy: TcpProxy) => void])[] = [
  ['says nothing any more', (proxy) => proxy.blackhole('to-client')],
  [
    'resets the connections, and is silent',
    (proxy) => {
      proxy.blackhole(true);
      proxy.cutAll();
    },
  ],
  ['goes on as if nothing were', () => undefined],
];

interface Scene {
  readonly url: string;
  /** Which answer of the server, counted from 0. */
  readonly n: number;
  readonly turn: (proxy: TcpProxy) => void;
  readonly happen: (begun: Begun) => Promise<void>;
  readonly signal?: AbortSignal;
}

/**
 * Begins everything, lets the server take its turn at its n-th answer, and then something happen that ends it all. Returns whether
 * there was such an answer.
 */
async function play({ url, n, turn, happen, signal }: Scene): Promise<boolean> {
  await using proxy = await TcpProxy.listen(url);
  using sockets = new DialledSockets();
  let answers = 0;
  const isThere = new Promise<'there'>((resolve) => {
    proxy.intercept((chunk, direction) => {
      if (direction === 'to-client' && answers++ === n) {
        turn(proxy);
        resolve('there');
      }
      return [chunk];
    });
  });
  const begun = beginEverything(proxy.via(url), signal);
  const first = await Promise.race([isThere, begun.done]);
  await happen(begun);
  await begun.done;
  expect(begun.broker.state).toEqual({ status: 'closed' });
  expect(sockets.openTo(proxy)).toBe(0);
  const before = sockets.countTo(proxy);
  proxy.blackhole(false);
  await absenceOf(50, 'a closed broker dials again, after a pause that is shorter than this');
  expect(before).toBeGreaterThan(0);
  expect(sockets.countTo(proxy)).toBe(before);
  return first === 'there';
}

describe.each(turns)('at whichever answer of a server that then %s', (_what, turn) => {
  it('a broker is closed, it settles in time, with everything that was begun', {
    timeout: 240_000,
  }, async () => {
    await using vhost = await createVhost();
    const codes = new Set<string>();
    const happen = async ({ broker, consumer, outcomes, done }: Begun) => {
      const startedAt = performance.now();
      expect(await broker.close({ timeoutMs: 60 })).toEqual({ clean: expect.any(Boolean) });
      await Promise.all([done, consumer.closed]);
      expect(performance.now() - startedAt).toBeLessThan(inTimeMs);
      for (const [name, outcome] of outcomes) codes.add(`${name}: ${codeOf(outcome)}`);
    };
    let n = 0;
    while (await play({ url: vhost.url, n, turn, happen })) n = next(n);
    expect(n).toBeGreaterThan(30);
    // A responder that is not there yet, a queue, and a request that was under way.
    const legitimate =
      /: (?:fulfilled|CLOSED)$|^request: (?:UNROUTABLE|CONNECTION_FAILED)$|^stats: NOT_FOUND$/;
    expect([...codes].filter((it) => !legitimate.test(it))).toEqual([]);
  });

  it('a signal aborts, all that has it rejects with its reason', { timeout: 240_000 }, async () => {
    await using vhost = await createVhost();
    const reason = new Error('the user went away');
    const wrong: unknown[] = [];
    let n = 0;
    for (; ; n = next(n)) {
      const abort = new AbortController();
      const happen = async ({ broker, consumer, open, outcomes }: Begun) => {
        const waiting = ['send', 'delayed', 'request'].filter((name) => open.has(name));
        abort.abort(reason);
        await expect.poll(() => waiting.filter((name) => open.has(name)), { timeout: inTimeMs }).toEqual([]);
        for (const name of waiting) {
          const outcome = outcomes.get(name);
          // It may just have been answered.
          if (outcome !== reason && outcome !== 'fulfilled') wrong.push([n, name, outcome]);
        }
        await broker.close({ timeoutMs: 60 });
        expect(await consumer.closed).toBeUndefined();
      };
      if (!(await play({ url: vhost.url, n, turn, happen, signal: abort.signal }))) break;
    }
    expect(n).toBeGreaterThan(30);
    expect(wrong).toEqual([]);
  });
});

const codeOf = (outcome: unknown) =>
  outcome === 'fulfilled' ? outcome : ((outcome as { code?: unknown }).code ?? String(outcome));
