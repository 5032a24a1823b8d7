import { inspect } from 'node:util';
import { Broker } from 'leveret';
import { describe, expect, it } from 'vitest';
import { createVhost } from '../../helpers/server/index.js';

const guest = { username: 'guest', password: 'guest' };

describe('a credentials function that answers', () => {
  it.each([
    ['with a text', 'canary-secret'],
    ['with nothing', undefined],
    ['without a password', { username: 'guest' }],
    ['with an expiry that is no date', { ...guest, expiresAt: '2030-01-01' }],
    ['with an invalid date', { ...guest, expiresAt: new Date('never') }],
  ])('%s fails the attempt, and shows nothing of it', async (_what, answer) => {
    await using vhost = await createVhost();
    await using broker = new Broker(vhost.url, {
      credentials: () => answer as never,
      startupTimeoutMs: 200,
    });
    const error: unknown = await broker.connect().catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'CONNECTION_FAILED',
      cause: { code: 'INVALID_OPTION', option: 'credentials' },
    });
    expect(inspect(error, { depth: 10 })).not.toContain('canary');
  });
});
