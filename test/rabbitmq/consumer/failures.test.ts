import { Broker, DeadLetter, queue, RetryLater } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';

const task = z.object({ name: z.string() });
const kinds = ['quorum', 'classic'] as const;
const soon = { initialDelayMs: 5, jitter: false };

describe.each(kinds)('a handler that fails on a %s queue', (type) => {
  it('runs again until it succeeds, and is told which attempt it is', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    const tasks = queue('tasks', task, { type, retry: soon });
    const attempts: number[] = [];
    const ids = new Set<string | undefined>();
    const consumer = broker.consumer(tasks, ({ attempt, id, headers, body }) => {
      attempts.push(attempt);
      ids.add(id);
      expect({ ...headers }).toEqual({ tenant: 'acme' });
      expect(body).toEqual({ name: 'fails twice' });
      if (attempts.length < 3) throw new Error(`failure ${attempts.length}`);
    });
    const { messageId } = await broker
      .producer(tasks)
      .send({ name: 'fails twice' }, { headers: { tenant: 'acme' } });
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, retried: 2, deadLettered: 0 });
    expect(attempts).toEqual([1, 2, 3]);
    expect([...ids]).toEqual([messageId]);
    expect(events.of('handler-error')).toEqual([
      { queue: 'tasks', messageId, attempt: 1, error: new Error('failure 1') },
      { queue: 'tasks', messageId, attempt: 2, error: new Error('failure 2') },
    ]);
    await consumer.close();
    await expect.poll(() => broker.stats(tasks)).toEqual({ messages: 0, consumers: 0 });
    await expect.poll(() => broker.stats('tasks.dead')).toEqual({ messages: 0, consumers: 0 });
  });

  it('runs as often as the policy says, and then its message is in the dead-letter queue with the reason', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const events = recordEvents(broker);
    const tasks = queue('tasks', task, { type, retry: { ...soon, attempts: 3 } });
    let runs = 0;
    await broker.consumer(tasks, () => {
      runs++;
      throw new TypeError('it never works');
    }).ready;
    const before = Date.now();
    const { messageId } = await broker
      .producer(tasks)
      .send({ name: 'hopeless' }, { headers: { tenant: 'acme' }, correlationId: 'c', priority: 1 });
    const dead = await other.take('tasks.dead');
    expect(dead.content.toString()).toBe('{"name":"hopeless"}');
    expect(dead.properties).toMatchObject({
      messageId,
      correlationId: 'c',
      contentType: 'application/json',
      deliveryMode: 2,
      headers: {
        tenant: 'acme',
        'leveret-error': 'TypeError: it never works',
        'leveret-attempt': 3,
        'leveret-queue': 'tasks',
      },
    });
    const failedAt = new Date(dead.properties.headers?.['leveret-failed-at'] as string).getTime();
    expect(failedAt).toBeGreaterThanOrEqual(before);
    expect(failedAt).toBeLessThanOrEqual(Date.now());
    // Versions before 4 add a count of their own, of the dead-letter queue.
    const { 'x-delivery-count': _count, ...headers } = dead.properties.headers ?? {};
    expect(Object.keys(headers).filter((name) => name.startsWith('x-'))).toEqual([]);
    await expect
      .poll(() => events.of('dead-lettered'))
      .toEqual([
        {
          queue: 'tasks',
          deadLetterQueue: 'tasks.dead',
          messageId,
          attempt: 3,
          error: new TypeError('it never works'),
        },
      ]);
    await expect.poll(() => broker.stats(tasks)).toEqual({ messages: 0, consumers: 1 });
    expect(runs).toBe(3);
  });

  it('has its message dead-lettered at once without a retry policy', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const tasks = queue('tasks', task, { type, retry: false });
    let runs = 0;
    await broker.consumer(tasks, async () => {
      runs++;
      throw new Error('once is enough');
    }).ready;
    await broker.producer(tasks).send({ name: 'x' });
    expect((await other.take('tasks.dead')).properties.headers).toMatchObject({ 'leveret-attempt': 1 });
    expect(runs).toBe(1);
  });

  it('waits before the next attempt, longer each time, and lets other messages pass', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const tasks = queue('tasks', task, { type, retry: { initialDelayMs: 150, factor: 2, jitter: false } });
    const runs: { name: string; at: number }[] = [];
    await broker.consumer(tasks, ({ body, attempt }) => {
      runs.push({ name: body.name, at: performance.now() });
      if (body.name === 'slow' && attempt < 3) throw new Error('not yet');
    }).ready;
    const producer = broker.producer(tasks);
    await producer.send({ name: 'slow' });
    await producer.send({ name: 'quick' });
    await expect.poll(() => runs.length).toBe(4);
    expect(runs.map(({ name }) => name)).toEqual(['slow', 'quick', 'slow', 'slow']);
    const [first = 0, second = 0, third = 0] = runs.filter(({ name }) => name === 'slow').map(({ at }) => at);
    expect(second - first).toBeGreaterThanOrEqual(149);
    expect(third - second).toBeGreaterThanOrEqual(299);
  });
});

describe('what a handler throws', () => {
  it.each([
    ['undefined', undefined, 'Error: undefined'],
    ['a string', 'plain text', 'Error: plain text'],
    ['an object that cannot be shown', Object.create(null), /an error that cannot be shown/],
    [
      'an error with a code',
      Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }),
      'ECONNREFUSED: refused',
    ],
    ['a huge error', new Error('ü'.repeat(5_000)), /^Error: ü+…$/],
  ])('may be anything: %s', async (_what, thrown, text) => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const events = recordEvents(broker);
    const tasks = queue('tasks', task, { type: 'classic', retry: false });
    await broker.consumer(tasks, () => {
      throw thrown;
    }).ready;
    await broker.producer(tasks).send({ name: 'x' });
    const header = (await other.take('tasks.dead')).properties.headers?.['leveret-error'] as string;
    if (typeof text === 'string') expect(header).toBe(text);
    else expect(header).toMatch(text);
    expect(Buffer.byteLength(header)).toBeLessThanOrEqual(2_048);
    expect(events.of('handler-error')).toMatchObject([{ queue: 'tasks', attempt: 1 }]);
    expect(events.of('handler-error')[0]?.error).toBe(thrown);
  });

  it('is a verdict when it is a DeadLetter, from any depth', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const tasks = queue('tasks', task);
    let runs = 0;
    const deep = async () => {
      await Promise.resolve();
      throw new DeadLetter('no such customer', { cause: new Error('404') });
    };
    await broker.consumer(tasks, async () => {
      runs++;
      await deep();
    }).ready;
    await broker.producer(tasks).send({ name: 'x' });
    expect((await other.take('tasks.dead')).properties.headers).toMatchObject({
      'leveret-error': expect.stringMatching(/no such customer/),
      'leveret-attempt': 1,
    });
    expect(runs).toBe(1);
  });

  it('is a verdict when it is a RetryLater, with a delay of its own', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const tasks = queue('tasks', task, { retry: { initialDelayMs: 60_000, retryIf: () => false } });
    const runs: number[] = [];
    await broker.consumer(tasks, ({ attempt }) => {
      runs.push(performance.now());
      if (attempt === 1) throw new RetryLater({ delayMs: 100 });
    }).ready;
    await broker.producer(tasks).send({ name: 'x' });
    await expect.poll(() => runs.length).toBe(2);
    expect((runs[1] as number) - (runs[0] as number)).toBeGreaterThanOrEqual(99);
  });

  it('runs out of attempts also with RetryLater', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const tasks = queue('tasks', task, { retry: { attempts: 2 } });
    let runs = 0;
    await broker.consumer(tasks, () => {
      runs++;
      throw new RetryLater({ delayMs: 1 });
    }).ready;
    await broker.producer(tasks).send({ name: 'x' });
    expect((await other.take('tasks.dead')).properties.headers).toMatchObject({ 'leveret-attempt': 2 });
    expect(runs).toBe(2);
  });

  it('is shown to retryIf, which may give up at once', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const asked: unknown[] = [];
    const tasks = queue('tasks', task, {
      retry: {
        ...soon,
        retryIf: (error, { id, attempt }) => {
          asked.push([(error as Error).message, id, attempt]);
          return (error as Error).message === 'temporary';
        },
      },
    });
    const failures = ['temporary', 'permanent'];
    await broker.consumer(tasks, () => {
      throw new Error(failures.shift());
    }).ready;
    const { messageId } = await broker.producer(tasks).send({ name: 'x' });
    const dead = await other.take('tasks.dead');
    expect(dead.properties.headers).toMatchObject({
      'leveret-error': 'Error: permanent',
      'leveret-attempt': 2,
    });
    expect(asked).toEqual([
      ['temporary', messageId, 1],
      ['permanent', messageId, 2],
    ]);
  });
});

describe('a dead-letter queue that was deleted', () => {
  it('is declared again for the next dead letter', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const tasks = queue('tasks', task, { retry: false });
    await broker.consumer(tasks, () => {
      throw new Error('for good');
    }).ready;
    await vhost.management.deleteQueue('tasks.dead');
    await broker.producer(tasks).send({ name: 'x' });
    await expect
      .poll(async () => (await vhost.management.queues()).map(({ name }) => name).sort())
      .toEqual(['tasks', 'tasks.dead']);
    expect((await other.take('tasks.dead')).content.toString()).toBe('{"name":"x"}');
  });
});
