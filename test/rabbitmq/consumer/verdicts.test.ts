import { Broker, type Message, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../../helpers/gate.js';
import { otherClient } from '../../helpers/other-client.js';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const tasks = queue('tasks', z.object({ name: z.string() }), {
  retry: { initialDelayMs: 5, jitter: false, attempts: 3 },
});

type Task = Message<{ name: string }>;

/** Every verdict, each of which returns whether it counts. */
const verdicts: readonly [string, (message: Task) => boolean][] = [
  ['ack', (message) => message.ack()],
  ['retry', (message) => message.retry({ delayMs: 1 })],
  ['deadLetter', (message) => message.deadLetter('enough')],
  ['requeue', (message) => message.requeue()],
];

describe('a verdict', () => {
  it('ack: the message is gone, whatever the handler does afterwards', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    let runs = 0;
    const consumer = broker.consumer(tasks, (message) => {
      runs++;
      message.ack();
      throw new Error('after the verdict');
    });
    await broker.producer(tasks).send({ name: 'x' });
    await expect.poll(() => events.of('handler-error').length).toBe(1);
    expect(consumer.stats).toMatchObject({ acked: 1, retried: 0, inFlight: 0 });
    await consumer.close();
    await expect.poll(() => broker.stats(tasks)).toEqual({ messages: 0, consumers: 0 });
    expect(runs).toBe(1);
  });

  it('retry: the message comes again after its delay, as the next attempt', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const events = recordEvents(broker);
    const runs: { attempt: number; at: number }[] = [];
    const consumer = broker.consumer(tasks, (message) => {
      runs.push({ attempt: message.attempt, at: performance.now() });
      if (message.attempt === 1) message.retry({ delayMs: 120 });
    });
    await broker.producer(tasks).send({ name: 'x' });
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, retried: 1 });
    expect(runs.map(({ attempt }) => attempt)).toEqual([1, 2]);
    expect((runs[1]?.at ?? 0) - (runs[0]?.at ?? 0)).toBeGreaterThanOrEqual(119);
    expect(events.of('handler-error')).toEqual([]);
  });

  it('retry: dead-letters the message on its last attempt', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const attempts: number[] = [];
    broker.consumer(tasks, (message) => {
      attempts.push(message.attempt);
      message.retry();
    });
    await broker.producer(tasks).send({ name: 'x' });
    expect((await other.take('tasks.dead')).properties.headers).toMatchObject({ 'leveret-attempt': 3 });
    expect(attempts).toEqual([1, 2, 3]);
  });

  it('deadLetter: the message is in the dead-letter queue with the reason', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const events = recordEvents(broker);
    broker.consumer(tasks, (message) => void message.deadLetter('the customer has left'));
    const { messageId } = await broker.producer(tasks).send({ name: 'x' });
    const dead = await other.take('tasks.dead');
    expect(dead.properties).toMatchObject({
      messageId,
      headers: { 'leveret-error': expect.stringMatching(/the customer has left/), 'leveret-attempt': 1 },
    });
    await expect
      .poll(() => events.of('dead-lettered'))
      .toMatchObject([{ queue: 'tasks', messageId, attempt: 1 }]);
    expect(events.of('handler-error')).toEqual([]);
  });

  it('requeue: the message goes back at once, for any consumer to take', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const runs: string[] = [];
    const first = broker.consumer(tasks, async (message) => {
      runs.push('first');
      await first.pause();
      expect(message.requeue()).toBe(true);
    });
    await first.ready;
    await broker.producer(tasks).send({ name: 'x' });
    await expect.poll(() => first.stats).toMatchObject({ requeued: 1, acked: 0, retried: 0 });
    const redelivered: boolean[] = [];
    broker.consumer(tasks, (message) => {
      runs.push('second');
      redelivered.push(message.redelivered);
    });
    await expect.poll(() => runs).toEqual(['first', 'second']);
    expect(redelivered).toEqual([true]);
  });

  it.each(verdicts)(
    'counts once: after %s every other one returns false and does nothing',
    async (name, give) => {
      await using vhost = await createVhost();
      await using proxy = await TcpProxy.listen(vhost.url);
      const wire = WireLog.of(proxy);
      await using broker = await Broker.connect(proxy.via(vhost.url));
      const results: unknown[] = [];
      const consumer = broker.consumer(tasks, (message) => {
        // Those that bring it back are not to go round forever.
        if (message.redelivered || message.attempt > 1) return;
        results.push(give(message), ...verdicts.map(([, other]) => other(message)));
      });
      await broker.producer(tasks).send({ name: 'x' });
      await expect.poll(() => results).toEqual([true, false, false, false, false]);
      await expect
        .poll(() => consumer.stats)
        .toMatchObject({
          acked: name === 'deadLetter' ? 0 : 1,
          retried: name === 'retry' ? 1 : 0,
          deadLettered: name === 'deadLetter' ? 1 : 0,
          requeued: name === 'requeue' ? 1 : 0,
          inFlight: 0,
        });
      expect(await consumer.close()).toEqual({ clean: true });
      await expect.poll(() => broker.stats(tasks)).toEqual({ messages: 0, consumers: 0 });
      expect(wire.of('channel.close', 'to-client')).toEqual([]);
      await expect
        .poll(() => broker.stats('tasks.dead'))
        .toMatchObject({ messages: name === 'deadLetter' ? 1 : 0 });
    },
  );

  it('given after the handler has ended returns false', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const kept: Task[] = [];
    const consumer = broker.consumer(tasks, (message) => void kept.push(message));
    await broker.producer(tasks).send({ name: 'x' });
    await expect.poll(() => consumer.stats.acked).toBe(1);
    for (const [, give] of verdicts) expect(give(kept[0] as Task)).toBe(false);
    await consumer.close();
    await expect.poll(() => broker.stats(tasks)).toEqual({ messages: 0, consumers: 0 });
  });

  it('frees no slot before the handler has ended', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    using working = gate();
    const started: string[] = [];
    const consumer = broker.consumer(tasks, async (message) => {
      started.push(message.body.name);
      message.ack();
      await working.opened;
    });
    await broker.producer(tasks).sendAll([{ name: 'one' }, { name: 'two' }]);
    await expect.poll(() => consumer.stats).toMatchObject({ acked: 1, inFlight: 1, waiting: 1 });
    expect(started).toEqual(['one']);
    working.open();
    await expect.poll(() => started).toEqual(['one', 'two']);
  });

  it('with a delay out of range is refused, and does not count', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const results: unknown[] = [];
    broker.consumer(tasks, (message) => {
      for (const delayMs of [-1, Number.NaN, 60 * 86_400_000 + 1]) {
        try {
          results.push(message.retry({ delayMs }));
        } catch (error) {
          results.push((error as { code: string }).code);
        }
      }
      results.push(message.ack());
    });
    await broker.producer(tasks).send({ name: 'x' });
    await expect.poll(() => results).toEqual(['INVALID_OPTION', 'INVALID_OPTION', 'INVALID_OPTION', true]);
  });
});
