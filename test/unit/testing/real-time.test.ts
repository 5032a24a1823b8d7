import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { queue } from 'leveret';
import { TestBroker } from 'leveret/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';

const pings = queue('pings', z.object({ host: z.string() }));
afterEach(() => {
  vi.useRealTimers();
});

async function handledOnce(broker: TestBroker): Promise<void> {
  broker.consumer(pings, () => {});
  await broker.producer(pings).send({ host: 'a' });
  await broker.settled();
  expect(broker.handled(pings)).toHaveLength(1);
  await broker.close();
}

describe('fake timers of a test runner', () => {
  const everything = {
    toFake: ['setTimeout', 'setImmediate', 'setInterval', 'performance', 'Date'],
  } as const;

  it.each([undefined, { toFake: [...everything.toFake] }])(
    'installed before the start change nothing: %j',
    async (config) => {
      vi.useFakeTimers(config);
      await handledOnce(await TestBroker.start());
    },
  );

  it.each([undefined, { toFake: [...everything.toFake] }])(
    'installed after the start change nothing: %j',
    async (config) => {
      const broker = await TestBroker.start();
      vi.useFakeTimers(config);
      await handledOnce(broker);
    },
  );
});

describe('sent()', () => {
  const payments = queue('payments', z.object({ cents: z.int() }), { retry: false });

  it('shows an id that is sent again on purpose, also after a reconnect and a dead letter', async () => {
    const broker = await TestBroker.start();
    let fails = true;
    broker.on('handler-error', () => {});
    broker.consumer(payments, () => (fails ? Promise.reject(new Error('no')) : undefined));
    const pay = async () => {
      await broker.producer(payments).send({ cents: 500 }, { messageId: 'payment-1' });
      await broker.settled();
    };
    await pay();
    fails = false;
    await pay();
    await broker.disconnect();
    await broker.advance('1m');
    await pay();
    expect(broker.sent(payments)).toHaveLength(3);
    expect(broker.handled(payments)).toHaveLength(3);
    await broker.close();
  });

  it('shows what is published again after a lost connection, and what is replayed, once', async () => {
    const broker = await TestBroker.start();
    await broker.block();
    const sending = broker.producer(payments).send({ cents: 1 });
    await broker.disconnect();
    await broker.unblock();
    await broker.advance('1m');
    await sending;
    let fails = true;
    broker.on('handler-error', () => {});
    broker.consumer(payments, () => (fails ? Promise.reject(new Error('no')) : undefined));
    await broker.settled();
    fails = false;
    await broker.deadLetters(payments).replay();
    await broker.settled();
    expect(broker.handled(payments).map(({ outcome }) => outcome)).toEqual(['dead-lettered', 'acked']);
    expect(broker.sent(payments)).toHaveLength(1);
    await broker.close();
  });
});

describe('work without an end', () => {
  const circles = queue('circles', z.object({ round: z.int() }));

  it('is named by settled(), and advance() ends', async () => {
    const broker = await TestBroker.start();
    const producer = broker.producer(circles);
    broker.consumer(circles, ({ body }) => producer.send({ round: body.round + 1 }).catch(() => {}));
    void producer.send({ round: 1 });
    await expect(broker.settled()).rejects.toThrow(/circles/);
    await broker.advance('1m');
    await broker.close();
  }, 30_000);

  it('does not keep a consumer from closing in real time', async () => {
    const broker = await TestBroker.start();
    const consumer = broker.consumer(circles, () => new Promise(() => {}));
    await broker.producer(circles).send({ round: 1 });
    await expect.poll(() => consumer.stats.inFlight).toBe(1);
    expect(await consumer.close({ timeoutMs: 50 })).toEqual({ clean: false });
    await broker.close();
  });
});

describe('the mock timers of node:test', () => {
  it('enabled before Leveret is loaded are an error of the start, which would otherwise never end', async () => {
    const program = `
      import { mock } from 'node:test';
      mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] });
      const { TestBroker } = await import('leveret/testing');
      await TestBroker.start().catch(({ code, message }) => console.log(code, message));`;
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: process.cwd() });
    expect(stdout).toMatch(/INVALID_OPTION .*before 'leveret' was loaded/);
  });
});
