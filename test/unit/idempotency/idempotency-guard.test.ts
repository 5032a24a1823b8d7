import { type IdempotencyStore, memoryStore, queue } from 'leveret';
import { TestBroker } from 'leveret/testing';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';

const emails = queue('emails', z.object({ to: z.string() }));
const poll = { timeout: 10_000 };

/** A store over a working one, with some functions in the place of its own. */
function storeWith(make: (inner: IdempotencyStore) => Partial<IdempotencyStore>): IdempotencyStore {
  const inner = memoryStore();
  const own = {
    claim: inner.claim.bind(inner),
    renew: inner.renew.bind(inner),
    done: inner.done.bind(inner),
    release: inner.release.bind(inner),
  };
  return { ...own, ...make(inner) };
}

const failing = () => Promise.reject(new Error('ECONNREFUSED'));

describe('a consumer with an idempotency store', () => {
  it('keeps a message in hand while the store is away, without an attempt', async () => {
    await using broker = await TestBroker.start();
    let isAway = true;
    const store = storeWith((inner) => ({
      claim: (...args) => (isAway ? failing() : inner.claim(...args)),
    }));
    const attempts: number[] = [];
    const consumer = broker.consumer(emails, ({ attempt }) => attempts.push(attempt), {
      idempotency: { store },
    });
    await consumer.ready;
    await broker.producer(emails).send({ to: 'ada' });
    await expect
      .poll(() => broker.health(), poll)
      .toMatchObject({ status: 'degraded', consumers: [{ error: 'ECONNREFUSED', inFlight: 1 }] });
    isAway = false;
    await expect.poll(() => consumer.stats.acked, poll).toBe(1);
    expect({ attempts, status: broker.health().status }).toEqual({ attempts: [1], status: 'up' });
  });

  it('does not wait for a claim that takes over 5 s, and releases it when it comes', async () => {
    await using broker = await TestBroker.start();
    using late = gate();
    let claims = 0;
    const store = storeWith((inner) => ({
      claim: async (...args) => {
        if (++claims === 1) await late.opened;
        return inner.claim(...args);
      },
    }));
    const consumer = broker.consumer(emails, () => {}, { idempotency: { store } });
    await broker.producer(emails).send({ to: 'ada' });
    await expect.poll(() => consumer.stats.acked, poll).toBe(1);
    expect(claims).toBe(2);
  }, 15_000);

  it('notes a success until that works, and runs the handler once', async () => {
    await using broker = await TestBroker.start();
    let notes = 0;
    const store = storeWith((inner) => ({
      done: (...args) => (++notes < 3 ? failing() : inner.done(...args)),
    }));
    let runs = 0;
    const consumer = broker.consumer(emails, () => void runs++, { idempotency: { store } });
    const send = () => broker.producer(emails).send({ to: 'ada' }, { messageId: 'one' });
    await send();
    await expect.poll(() => consumer.stats.acked, poll).toBe(1);
    await send();
    await expect.poll(() => consumer.stats.duplicates, poll).toBe(1);
    expect({ runs, notes }).toEqual({ runs: 1, notes: 3 });
  });

  it('acknowledges all the same when the success cannot be noted until the lease ends', async () => {
    await using broker = await TestBroker.start();
    const store = storeWith(() => ({ done: failing, renew: failing }));
    const consumer = broker.consumer(emails, () => {}, { idempotency: { store, leaseMs: 1_000 } });
    await broker.producer(emails).send({ to: 'ada' });
    await expect.poll(() => consumer.stats.acked, poll).toBe(1);
    expect(consumer.stats.retried).toBe(0);
  });

  it('aborts the signal of a handler whose claim another one has', async () => {
    await using broker = await TestBroker.start();
    const store = storeWith(() => ({ renew: async () => false }));
    let reason: unknown;
    const handler = async ({ signal }: { signal: AbortSignal }) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      reason = signal.reason;
    };
    broker.consumer(emails, handler, { idempotency: { store, leaseMs: 1_000 } });
    await broker.producer(emails).send({ to: 'ada' });
    await expect.poll(() => reason, poll).toMatchObject({ code: 'CLOSED' });
  });

  it('renews a claim for as long as its handler runs', async () => {
    await using broker = await TestBroker.start();
    const store = memoryStore();
    using working = gate();
    const consumer = broker.consumer(emails, () => working.opened, {
      idempotency: { store, leaseMs: 1_000 },
    });
    await broker.producer(emails).send({ to: 'ada' }, { messageId: 'one' });
    const claimedAt = performance.now();
    await expect.poll(() => performance.now() - claimedAt, poll).toBeGreaterThan(1_500);
    expect(await store.claim('emails:one', 1_000)).toBe('busy');
    working.open();
    await expect.poll(() => consumer.stats.acked, poll).toBe(1);
    expect(await store.claim('emails:one', 1_000)).toBe('done');
  });

  it('handles a message after the lease of a process that died', async () => {
    await using broker = await TestBroker.start();
    const store = memoryStore();
    await store.claim('emails:one', 1_500);
    const consumer = broker.consumer(emails, () => {}, { idempotency: { store, leaseMs: 1_000 } });
    await broker.producer(emails).send({ to: 'ada' }, { messageId: 'one' });
    await broker.settled();
    expect(consumer.stats.acked).toBe(0);
    await expect.poll(() => broker.advance('5s').then(() => consumer.stats.acked), poll).toBe(1);
    expect(consumer.stats).toMatchObject({ retried: 0, duplicates: 0 });
  });

  it('warns of a store that is away for long', async () => {
    const codes: unknown[] = [];
    const listener = (warning: Error & { code?: string }) => codes.push(warning.code);
    process.on('warning', listener);
    await using broker = await TestBroker.start();
    broker.consumer(emails, () => {}, { idempotency: { store: storeWith(() => ({ claim: failing })) } });
    await broker.producer(emails).send({ to: 'ada' });
    await expect.poll(() => codes, { timeout: 15_000 }).toEqual(['LEVERET_DATABASE']);
    process.off('warning', listener);
  }, 20_000);
});
