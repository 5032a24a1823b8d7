import { Redis } from 'ioredis';
import { redisStore } from 'leveret/redis';
import { testStore } from 'leveret/testing';
import { createClient } from 'redis';
import { describe, expect, inject, it } from 'vitest';

const url = inject('redis').url;

describe('a store on Redis', () => {
  it('keeps the contract with ioredis', async () => {
    const client = new Redis(url);
    await expect(testStore(redisStore(client))).resolves.toBeUndefined();
    client.disconnect();
  }, 20_000);

  it('keeps the contract with node-redis', async () => {
    const client = createClient({ url });
    await client.connect();
    await expect(testStore(redisStore(client, { prefix: 'other:' }))).resolves.toBeUndefined();
    client.destroy();
  }, 20_000);

  it('lets every key expire', async () => {
    const client = new Redis(url);
    const store = redisStore(client, { prefix: 'expiring:' });
    const claim = await store.claim('a', 60_000);
    if (typeof claim !== 'object') throw new Error('not claimed');
    expect(await client.pttl('expiring:a')).toBeGreaterThan(50_000);
    await store.done('a', claim.token, 120_000);
    expect(await client.pttl('expiring:a')).toBeGreaterThan(100_000);
    client.disconnect();
  });

  it('refuses a client of another shape', () => {
    for (const client of [{}, { eval() {} }, undefined as never])
      expect(() => redisStore(client)).toThrow(
        expect.objectContaining({ code: 'INVALID_OPTION', option: 'client' }),
      );
  });
});
