import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { ClaimResult, IdempotencyStore } from '../idempotency/store.js';

/** Long enough for a slow server to answer a few calls meanwhile, and short enough to wait for. */
const SHORT_MS = 1_500;
const LONG_MS = 60_000;

/** The time limit of one rule. */
const RULE_MS = 8_000;

/** One sentence of the contract, and a test of it. */
interface Rule {
  readonly rule: string;
  check(store: IdempotencyStore, key: () => string): Promise<void>;
}

/**
 * Checks a store against the contract of {@link IdempotencyStore}, with keys of its own, in at most 10 seconds.
 *
 * @throws Error that names every rule that the store breaks
 * @example
 * ```ts
 * await testStore(redisStore(client));
 * ```
 */
export async function testStore(store: IdempotencyStore): Promise<void> {
  const run = randomUUID();
  let keys = 0;
  const key = () => `leveret-test:${run}:${keys++}`;
  const broken = await Promise.all(RULES.map((rule) => whatBreaks(rule, store, key)));
  const found = broken.filter((it) => it !== undefined);
  if (found.length === 0) return;
  throw new Error(`The store breaks ${found.length} of ${RULES.length} rules:\n${found.join('\n')}`);
}

async function whatBreaks({ rule, check }: Rule, store: IdempotencyStore, key: () => string) {
  const ending = new AbortController();
  const late = delay(RULE_MS, undefined, { signal: ending.signal }).then(() => {
    throw new Error(`no answer within ${RULE_MS / 1_000} s`);
  });
  late.catch(() => {});
  try {
    await Promise.race([check(store, key), late]);
    return undefined;
  } catch (error) {
    return `- ${rule}: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    ending.abort();
  }
}

const RULES: readonly Rule[] = [
  {
    rule: 'a key that is free can be claimed, and no two claims have one token',
    async check(store, key) {
      const first = tokenOf(await store.claim(key(), LONG_MS));
      const second = tokenOf(await store.claim(key(), LONG_MS));
      if (first === second) throw new Error('two claims got the same token');
    },
  },
  {
    rule: "a key that another one has claimed is 'busy'",
    async check(store, key) {
      const mine = key();
      await store.claim(mine, LONG_MS);
      expect(await store.claim(mine, LONG_MS), 'busy');
    },
  },
  {
    rule: 'of many that claim a key at once, one gets a token',
    async check(store, key) {
      const mine = key();
      const claims = await Promise.all(Array.from({ length: 20 }, () => store.claim(mine, LONG_MS)));
      const tokens = claims.filter((claim) => typeof claim === 'object').length;
      if (tokens !== 1) throw new Error(`${tokens} of 20 got a token`);
      const others = claims.filter((claim) => claim === 'busy').length;
      if (others !== 19) throw new Error(`${others} of the 19 others were told 'busy'`);
    },
  },
  {
    rule: "a key that is done is 'done'",
    async check(store, key) {
      const mine = key();
      const token = tokenOf(await store.claim(mine, LONG_MS));
      expect(await store.done(mine, token, LONG_MS), true);
      expect(await store.claim(mine, LONG_MS), 'done');
    },
  },
  {
    rule: 'a key that is released is free',
    async check(store, key) {
      const mine = key();
      const token = tokenOf(await store.claim(mine, LONG_MS));
      expect(await store.release(mine, token), true);
      tokenOf(await store.claim(mine, LONG_MS));
    },
  },
  {
    rule: 'a lease that has ended is free, and its token good for nothing',
    async check(store, key) {
      const mine = key();
      const old = tokenOf(await store.claim(mine, SHORT_MS));
      await delay(SHORT_MS + 500);
      const token = tokenOf(await store.claim(mine, LONG_MS));
      expect(await store.renew(mine, old, LONG_MS), false);
      expect(await store.done(mine, old, LONG_MS), false);
      expect(await store.release(mine, old), false);
      expect(await store.claim(mine, LONG_MS), 'busy');
      expect(await store.done(mine, token, LONG_MS), true);
    },
  },
  {
    rule: 'a lease that has ended cannot be renewed, done or released, even if no other claim was made since',
    async check(store, key) {
      const [renewed, done, released] = [key(), key(), key()];
      const tokens = await Promise.all(
        [renewed, done, released].map(async (it) => tokenOf(await store.claim(it, SHORT_MS))),
      );
      await delay(SHORT_MS + 500);
      expect(await store.renew(renewed, tokens[0] as string, LONG_MS), false);
      expect(await store.done(done, tokens[1] as string, LONG_MS), false);
      expect(await store.release(released, tokens[2] as string), false);
      tokenOf(await store.claim(renewed, LONG_MS));
      tokenOf(await store.claim(done, LONG_MS));
    },
  },
  {
    rule: 'a lease lasts as long as it was asked for',
    async check(store, key) {
      const mine = key();
      await store.claim(mine, 4_000);
      await delay(2_500);
      expect(await store.claim(mine, LONG_MS), 'busy');
    },
  },
  {
    rule: 'a lease that is renewed lasts longer',
    async check(store, key) {
      const mine = key();
      const token = tokenOf(await store.claim(mine, SHORT_MS));
      expect(await store.renew(mine, token, LONG_MS), true);
      await delay(SHORT_MS + 500);
      expect(await store.claim(mine, LONG_MS), 'busy');
      expect(await store.done(mine, token, LONG_MS), true);
    },
  },
  {
    rule: 'an unknown token changes nothing',
    async check(store, key) {
      const mine = key();
      await store.claim(mine, LONG_MS);
      const wrong = randomUUID();
      expect(await store.renew(mine, wrong, LONG_MS), false);
      expect(await store.done(mine, wrong, LONG_MS), false);
      expect(await store.release(mine, wrong), false);
      expect(await store.claim(mine, LONG_MS), 'busy');
    },
  },
  {
    rule: 'a key that is done cannot be renewed, done again or released',
    async check(store, key) {
      const mine = key();
      const token = tokenOf(await store.claim(mine, LONG_MS));
      await store.done(mine, token, LONG_MS);
      expect(await store.renew(mine, token, LONG_MS), false);
      expect(await store.done(mine, token, LONG_MS), false);
      expect(await store.release(mine, token), false);
      expect(await store.claim(mine, LONG_MS), 'done');
    },
  },
  {
    rule: 'a key is done for as long as it was asked for, and then free',
    async check(store, key) {
      const mine = key();
      const token = tokenOf(await store.claim(mine, LONG_MS));
      expect(await store.done(mine, token, 2_500), true);
      await delay(1_000);
      expect(await store.claim(mine, LONG_MS), 'done');
      await delay(2_000);
      tokenOf(await store.claim(mine, LONG_MS));
    },
  },
  {
    rule: 'keys are told apart by every character, up to 1 800 bytes',
    async check(store, key) {
      const long = `${key()}:${'ü%:'.repeat(400)}`;
      await store.claim(`${long}a`, LONG_MS);
      tokenOf(await store.claim(`${long}b`, LONG_MS));
      tokenOf(await store.claim(`${long}A`, LONG_MS));
      tokenOf(await store.claim(`${long}a `, LONG_MS));
    },
  },
];

function tokenOf(claim: ClaimResult): string {
  const token: unknown = typeof claim === 'object' ? claim?.token : undefined;
  if (typeof token !== 'string' || token === '')
    throw new Error(`'claim' gave ${JSON.stringify(claim)}, expected a token`);
  return token;
}

function expect(got: unknown, expected: unknown): void {
  if (got !== expected) throw new Error(`expected ${String(expected)}, got ${JSON.stringify(got)}`);
}
