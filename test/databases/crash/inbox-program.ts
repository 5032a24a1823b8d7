/** A consumer with an inbox that runs until it is killed. Waits for a line on its input, so that it can be started ahead. */
import { once } from 'node:events';
import { setTimeout as work } from 'node:timers/promises';
import { Broker } from 'leveret';
import { postgresInbox } from 'leveret/postgres';
import pg from 'pg';
import { entries } from './contracts.js';

const [databaseUrl = '', rabbitUrl = ''] = process.argv.slice(2);
console.log('warm');
await once(process.stdin, 'data');
const broker = new Broker(rabbitUrl);
const pool = new pg.Pool({ connectionString: databaseUrl, max: 6 });
broker.consumer(
  entries,
  async ({ body }, client) => {
    await client.query('insert into effects (n, pid) values ($1, $2)', [body.n, process.pid]);
    await work(Math.random() * 20);
    if (Math.random() < 0.05) throw new Error('now and then');
  },
  { inbox: postgresInbox(pool, { maxIdleMs: 5_000 }), concurrency: 5 },
);
