import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { Broker, type BrokerEvents, type BrokerOptions, queue } from 'leveret';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';

const warnings: (Error & { readonly code?: string })[] = [];
const listener = (warning: Error) => warnings.push(warning);
beforeEach(() => {
  warnings.length = 0;
  process.on('warning', listener);
});
afterEach(() => {
  process.off('warning', listener);
});

const codes = () => warnings.map(({ code }) => code).filter((code) => code?.startsWith('LEVERET_'));

const jobs = queue('jobs', z.object({ id: z.int() }), { retry: false });
const silent = { debug() {}, info() {}, warn() {}, error() {} };

async function withBroker(use: (broker: Broker) => Promise<void>, options?: BrokerOptions) {
  const broker = await Broker.connect('memory:', options);
  try {
    await use(broker);
  } finally {
    await broker.close();
  }
}

describe('a handler that throws', () => {
  const fail = async (broker: Broker) => {
    broker.consumer(jobs, () => Promise.reject(new Error('the disk is full')));
    await broker.producer(jobs).send({ id: 1 });
    await broker.producer(jobs).send({ id: 2 });
    await expect.poll(() => broker.stats('jobs.dead')).toMatchObject({ messages: 2 });
  };

  it('is told of once, where nothing listens', async () => {
    await withBroker(fail);
    await expect.poll(codes).toEqual(['LEVERET_HANDLER_ERROR']);
    expect(warnings[0]?.message).toMatch(/'jobs'.+the disk is full.+broker\.on\('handler-error'\)/);
  });

  it('is not told of with a listener or a logger', async () => {
    await withBroker((broker) => fail(broker.on('handler-error', () => {})));
    await withBroker(fail, { logger: silent });
    expect(codes()).toEqual([]);
  });
});

describe('a handler that ends because its signal has aborted', () => {
  const stop = async (broker: Broker) => {
    const consumer = broker.consumer(
      jobs,
      ({ signal }) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped')))),
    );
    await broker.producer(jobs).send({ id: 1 });
    await expect.poll(() => consumer.stats.inFlight).toBe(1);
    await consumer.close({ timeoutMs: 1 });
  };

  it('is not told of, because it did as it was asked', async () => {
    await withBroker(stop);
    expect(codes()).toEqual([]);
  });

  it('is marked in its event', async () => {
    const errors: BrokerEvents['handler-error'][] = [];
    await withBroker((broker) => stop(broker.on('handler-error', (error) => errors.push(error))));
    expect(errors).toMatchObject([{ queue: 'jobs', aborted: true }]);
  });
});

describe('an invalid message', () => {
  it('is told of', async () => {
    await withBroker(async (broker) => {
      broker.consumer(jobs, () => {});
      await broker
        .producer(queue('jobs', z.object({ other: z.string() }), { retry: false }))
        .send({ other: 'x' });
      await expect.poll(() => broker.stats('jobs.dead')).toMatchObject({ messages: 1 });
    });
    await expect.poll(codes).toEqual(['LEVERET_INVALID_MESSAGE']);
  });
});

describe('a consumer that cannot go on', () => {
  const long = queue('jobs', z.object({ id: z.int() }), { maxLength: 200 });

  it('is told of, with its reason in the health of the broker', async () => {
    await withBroker(async (broker) => {
      await broker.declare(jobs);
      const failed = new Promise<Error>((resolve) => {
        broker.consumer(long, () => {});
        process.once('warning', resolve);
      });
      expect((await failed).message).toMatch(/'jobs' has failed/);
      expect(broker.health()).toMatchObject({
        status: 'degraded',
        consumers: [
          { queue: 'jobs', state: 'closed', error: expect.stringMatching(/x-max-length|maxLength/) },
        ],
      });
    });
    expect(codes()).toEqual(['LEVERET_CONSUMER_FAILED']);
  });

  it('is left to the program that awaits it, and to a listener', async () => {
    await withBroker(async (broker) => {
      await broker.declare(jobs);
      const errors: Error[] = [];
      broker.on('consumer-failed', ({ error }) => errors.push(error));
      await expect(broker.consumer(long, () => {}).ready).rejects.toThrow(/jobs/);
      expect(errors).toHaveLength(1);
    });
    expect(codes()).toEqual([]);
  });
});

describe('a start that takes long', () => {
  it('is told of after two seconds, with how long it goes on', async () => {
    const connecting = Broker.connect('amqp://127.0.0.1:1', { startupTimeoutMs: 2_500 });
    await expect(connecting).rejects.toThrow(/127\.0\.0\.1:1/);
    expect(codes()).toEqual(['LEVERET_CONNECTING']);
    expect(warnings[0]?.message).toMatch(/after 2 s.+2\.5 s in all/);
  });

  it('is told of without a call of connect, too', async () => {
    await using broker = new Broker('amqp://127.0.0.1:1', { startupTimeoutMs: Number.POSITIVE_INFINITY });
    const sending = broker.producer(jobs).send({ id: 1 });
    sending.catch(() => undefined);
    await expect.poll(codes, { timeout: 5_000 }).toEqual(['LEVERET_CONNECTING']);
    expect(warnings[0]?.message).toMatch(/ECONNREFUSED.+without end/);
  });

  it('reaches a logger, although no attempt has failed yet', async () => {
    const silent = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const { port } = silent.address() as AddressInfo;
    const lines: string[] = [];
    const line = (_fields: object, text: string) => lines.push(text);
    const logger = { debug: line, info: line, warn: line, error: line };
    await using broker = new Broker(`amqp://127.0.0.1:${port}`, { logger });
    broker.connect().catch(() => undefined);
    await expect.poll(() => lines, { timeout: 5_000 }).toEqual([expect.stringMatching(/after 2 s/)]);
    expect(codes()).toEqual([]);
    silent.close();
  });
});

describe('an argument that is undefined', () => {
  it('is no URL of this computer', async () => {
    const url: string | undefined = process.env.NO_SUCH_VARIABLE;
    for (const given of [url, [url as never]]) {
      await expect(Broker.connect(given)).rejects.toMatchObject({
        code: 'INVALID_URL',
        message: expect.stringMatching(/undefined.+environment variable/),
      });
    }
  });

  it('is no handler', async () => {
    await withBroker(async (broker) => {
      const handlers: { onJob?: () => void } = {};
      expect(() => broker.consumer(jobs, handlers.onJob as () => void)).toThrow(/expected a handler/);
      expect(() => broker.consumer(jobs, 'handle' as never)).toThrow(/got 'handle'/);
      await broker.consumer(jobs).close();
      await broker.consumer(jobs, {}).close();
    });
  });
});

describe('a log', () => {
  it('has one line, without a stack, for the attempts of an outage', async () => {
    const lines: object[] = [];
    const logger = { ...silent, warn: (details: object) => lines.push(details) };
    await Broker.connect('amqp://127.0.0.1:1', { startupTimeoutMs: 1_000, logger }).catch(() => {});
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ attempt: 1, reason: expect.stringMatching(/ECONNREFUSED|refused/i) });
    expect(lines[0]).not.toHaveProperty('err');
  });
});
