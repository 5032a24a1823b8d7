import { exchange, queue } from 'leveret';
import { TestBroker } from 'leveret/testing';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const emails = queue('emails', z.object({ to: z.string() }), {
  retry: { attempts: 3, initialDelayMs: 600_000 },
});

describe('delays in virtual time', () => {
  it('end when the test says so, and not before', async () => {
    await using broker = await TestBroker.start();
    broker.consumer(emails, () => undefined);
    const { messageId } = await broker.producer(emails).send({ to: 'ada' }, { delayMs: 30 * 86_400_000 });
    await broker.settled();
    await broker.advance('29d');
    expect(broker.handled(emails)).toEqual([]);
    await broker.advance('1d');
    expect(broker.handled(emails)).toMatchObject([{ id: messageId, attempt: 1, outcome: 'acked' }]);
  });

  it('count from the virtual time of day', async () => {
    await using broker = await TestBroker.start({ startAt: new Date('2030-01-01T00:00:00Z') });
    broker.consumer(emails, () => undefined);
    const producer = broker.producer(emails);
    await producer.send({ to: 'ada' }, { deliverAt: new Date('2030-01-01T06:00:00Z') });
    await broker.advance('5h');
    expect(broker.handled(emails)).toEqual([]);
    await broker.advance('1h');
    expect(broker.handled(emails)).toHaveLength(1);
    await expect(
      producer.send({ to: 'ada' }, { deliverAt: new Date('2030-03-15T00:00:00Z') }),
    ).rejects.toMatchObject({ code: 'INVALID_OPTION' });
  });

  it('show what was sent once, as it was sent', async () => {
    await using broker = await TestBroker.start();
    const orders = exchange('orders', z.number());
    broker.consumer(emails, ({ attempt }) => {
      if (attempt === 1) throw new Error('not yet');
    });
    const headers = { tenant: 'a' };
    await broker.producer(emails).send({ to: 'ada' }, { delayMs: 1_000, headers });
    await broker.producer(orders).send(1, { routingKey: 'eu.de', delayMs: 1_000 });
    await broker.advance('1h');
    expect(broker.handled(emails).map(({ outcome }) => outcome)).toEqual(['retried', 'acked']);
    expect(broker.sent(emails)).toMatchObject([{ body: { to: 'ada' }, routingKey: 'emails', headers }]);
    expect(Object.keys(broker.sent(emails)[0]?.headers ?? {})).toEqual(['tenant']);
    expect(broker.sent(orders)).toMatchObject([{ body: 1, routingKey: 'eu.de', headers: {} }]);
  });

  it('leave the dead letters of the server with the reason of their queue', async () => {
    await using broker = await TestBroker.start();
    const brief = queue('brief', z.string(), { messageTtlMs: 60_000 });
    await broker.producer(brief).send('too late', { delayMs: 10_000 });
    await broker.advance('69s');
    expect(broker.deadLettered(brief)).toEqual([]);
    await broker.advance('1s');
    expect(broker.deadLettered(brief)).toMatchObject([{ body: 'too late', error: { code: 'expired' } }]);
  });

  it('go on over a lost connection', async () => {
    await using broker = await TestBroker.start();
    broker.consumer(emails, ({ attempt }) => {
      if (attempt === 1) throw new Error('not yet');
    });
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    await broker.disconnect({ for: '5m' });
    await broker.advance('15m');
    expect(broker.handled(emails)).toMatchObject([{ outcome: 'retried' }, { outcome: 'acked', attempt: 2 }]);
  });
});
