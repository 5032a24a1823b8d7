import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Broker } from 'leveret';
import { TestBroker } from 'leveret/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { AppModule } from './app.module.js';
import { billing, emails } from './contracts.js';
import { Ledger } from './ledger.js';

let broker: TestBroker;
let app: INestApplication;

beforeEach(async () => {
  broker = await TestBroker.start();
  const module = Test.createTestingModule({ imports: [AppModule] })
    .overrideProvider(Broker)
    .useValue(broker);
  app = (await module.compile()).createNestApplication();
  await app.listen(0, '127.0.0.1');
});

afterEach(() => app.close());

async function place(order: object): Promise<number> {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${await app.getUrl()}/orders`, {
    method: 'POST',
    headers,
    body: JSON.stringify(order),
  });
  return response.status;
}

it('books an order that was placed, and sends an invoice', async () => {
  expect(await place({ id: '1', email: 'ada@example.com', total: 12 })).toBe(202);
  await broker.settled();
  expect(broker.handled(billing)).toMatchObject([{ outcome: 'acked' }]);
  expect(broker.sent(emails)).toMatchObject([{ body: { to: 'ada@example.com' } }]);
  expect(app.get(Ledger).totalOf('1')).toBe(12);
});

it('refuses an order that is none', async () => {
  expect(await place({ id: '1', email: 'no address', total: -1 })).toBe(400);
});

it('tries again when the ledger is down for a moment', async () => {
  const ledger = app.get(Ledger);
  const { book } = ledger;
  ledger.book = async () => {
    ledger.book = book;
    throw new Error('the ledger is down');
  };
  await place({ id: '1', email: 'ada@example.com', total: 12 });
  await broker.advance('1m');
  expect(broker.handled(billing)).toMatchObject([{ outcome: 'retried' }, { outcome: 'acked', attempt: 2 }]);
});

it('answers quotes, and tells of its health', async () => {
  const url = await app.getUrl();
  expect(await (await fetch(`${url}/quotes/A12`)).json()).toEqual({ price: 30 });
  expect((await fetch(`${url}/health/ready`)).status).toBe(200);
  await broker.disconnect({ for: '1h' });
  expect((await fetch(`${url}/health/ready`)).status).toBe(503);
  expect((await fetch(`${url}/health/alive`)).status).toBe(200);
});
