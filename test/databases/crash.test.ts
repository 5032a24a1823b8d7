import { postgresInbox } from 'leveret/postgres';
import { expect, it } from 'vitest';
import { createDatabase } from '../helpers/databases/index.js';
import { createVhost } from '../helpers/server/index.js';
import { outbox } from './crash/contracts.js';
import { inboxesUnderKills } from './crash/inboxes-under-kills.js';
import { relaysUnderKills } from './crash/relays-under-kills.js';

it('relays that are killed lose no row, keep each key in order, and repeat under the first id', async () => {
  await using db = await createDatabase();
  await using vhost = await createVhost();
  await db.migrate(outbox.migrations());
  const report = await relaysUnderKills({
    databaseUrl: db.url,
    rabbitUrl: vhost.url,
    durationMs: 5_000,
    atLeastKills: 8,
    killEveryMs: 350,
    rowsPerSecond: 200,
  });
  expect(report).toMatchObject({ lost: 0, invented: 0, outOfOrder: 0, renamed: 0, left: 0 });
  expect(report.committed).toBeGreaterThan(50);
}, 120_000);

it('handlers with an inbox that are killed leave the row of each message exactly once', async () => {
  await using db = await createDatabase();
  await using vhost = await createVhost();
  await db.migrate(postgresInbox(db.pool).migrations());
  const report = await inboxesUnderKills({
    databaseUrl: db.url,
    rabbitUrl: vhost.url,
    durationMs: 5_000,
    atLeastKills: 8,
    perSecond: 60,
  });
  expect(report).toMatchObject({ missing: 0, twice: 0, once: report.messages });
  expect(report.messages).toBeGreaterThan(50);
}, 120_000);
