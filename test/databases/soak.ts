/** Kills relays and handlers for a minute each, and prints what became of the rows: `npm run soak:outbox`, `… -- 10` for 10 s. */

import { postgresInbox } from 'leveret/postgres';
import pg from 'pg';
import { acquirePostgres } from '../helpers/databases/postgres.js';
import { createVhost } from '../helpers/server/index.js';
import { acquireServer } from '../helpers/server/shared-server.js';
import { outbox } from './crash/contracts.js';
import { frozenRelay } from './crash/frozen-relay.js';
import { inboxesUnderKills } from './crash/inboxes-under-kills.js';
import { relaysUnderKills } from './crash/relays-under-kills.js';

const durationMs = Number(process.argv[2] ?? 60) * 1_000;
const [server, postgres] = await Promise.all([acquireServer(), acquirePostgres()]);
const name = `leveret_soak_${process.pid}`;
const admin = new pg.Pool({ connectionString: postgres.url, max: 1 });
await admin.query(`create database ${name}`);
const databaseUrl = Object.assign(new URL(postgres.url), { pathname: name }).href;
const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
for (const statement of [...outbox.migrations(), ...postgresInbox(pool).migrations()])
  await pool.query(statement);
try {
  {
    await using vhost = await createVhost(server);
    const report = await relaysUnderKills({
      databaseUrl,
      rabbitUrl: vhost.url,
      durationMs,
      atLeastKills: 0,
      killEveryMs: 350,
      rowsPerSecond: 300,
    });
    console.log('Two relays, killed every 350 ms under 300 rows/s:', report);
    if (report.lost + report.invented + report.outOfOrder + report.renamed + report.left > 0)
      process.exitCode = 1;
  }
  {
    await using vhost = await createVhost(server);
    const report = await frozenRelay(databaseUrl, vhost.url);
    console.log('A relay that is frozen in the middle of a batch:', report);
    if (report.takenOverMs > 35_000 || report.sentInAll > report.rows + report.sentBefore)
      process.exitCode = 1;
  }
  await using vhost = await createVhost(server);
  const report = await inboxesUnderKills({
    databaseUrl,
    rabbitUrl: vhost.url,
    durationMs,
    atLeastKills: 0,
    perSecond: 60,
  });
  console.log('Two handlers with an inbox, killed at random moments:', report);
  if (report.missing + report.twice > 0) process.exitCode = 1;
} finally {
  await pool.end();
  await admin.query(`drop database ${name} with (force)`);
  await admin.end();
  await Promise.all([server.stop(), postgres.stop()]);
}
