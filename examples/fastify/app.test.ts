import { TestBroker } from 'leveret/testing';
import { expect, it } from 'vitest';
import { createApp } from './app.js';
import { emails } from './contracts.js';

it('sends, consumes, answers and closes in order', async () => {
  const broker = await TestBroker.start();
  const app = await createApp(broker);
  await app.ready();
  const payload = { to: 'ada@example.com', subject: 'Hello' };
  expect((await app.inject({ method: 'POST', url: '/emails', payload })).statusCode).toBe(202);
  expect((await app.inject({ method: 'POST', url: '/emails', payload: {} })).statusCode).toBe(400);
  await broker.settled();
  expect(broker.handled(emails)).toMatchObject([{ outcome: 'acked', body: payload }]);
  expect((await app.inject('/quotes/A12')).json()).toEqual({ price: 30 });
  expect((await app.inject('/health/ready')).json()).toEqual({ status: 'up' });
  await app.close();
  expect(broker.state.status).toBe('closed');
});
