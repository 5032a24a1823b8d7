import type { Producer } from 'leveret';
import type { MessageOf } from 'leveret/nestjs';
import { expect, it, vi } from 'vitest';
import { BillingConsumer } from './billing.consumer.js';
import type { billing, emails } from './contracts.js';
import { Ledger } from './ledger.js';

it('books an order, and has an invoice sent', async () => {
  const ledger = new Ledger();
  const send = vi.fn();
  const consumer = new BillingConsumer(ledger, { send } as unknown as Producer<typeof emails>);
  const body = { id: '1', email: 'ada@example.com', total: 12 };
  await consumer.handle({ body } as MessageOf<typeof billing>);
  expect(ledger.totalOf('1')).toBe(12);
  expect(send).toHaveBeenCalledWith({ to: 'ada@example.com', subject: 'Invoice of order 1: 12 EUR' });
});
