/** A relay that runs until it is killed. Waits for a line on its input, so that it can be started ahead. */
import { once } from 'node:events';
import { Broker } from 'leveret';
import pg from 'pg';
import { outbox } from './contracts.js';

const [databaseUrl = '', rabbitUrl = ''] = process.argv.slice(2);
console.log('warm');
await once(process.stdin, 'data');
const broker = new Broker(rabbitUrl);
broker.relay(outbox, {
  db: new pg.Pool({ connectionString: databaseUrl, max: 2 }),
  pollMs: 50,
  batch: 50,
});
