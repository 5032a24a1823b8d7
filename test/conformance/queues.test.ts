import { exchange, queue, TopologyError } from 'leveret';
import { expect } from 'vitest';
import { z } from 'zod';
import { passing } from '../helpers/waits.js';
import { Seen } from './helpers.js';
import { suite } from './suite.js';

suite('queues', {
  'of a single active consumer hand over to the next one': async (bench) => {
    const broker = await bench.connect();
    const single = queue('single', z.number(), { singleActiveConsumer: true });
    const [first, second] = [new Seen<number>(), new Seen<number>()];
    const active = broker.consumer(single, first.handler);
    await active.ready;
    await broker.consumer(single, second.handler).ready;
    const producer = broker.producer(single);
    await producer.send(1);
    await expect.poll(() => first.messages.length).toBe(1);
    await active.close();
    await producer.send(2);
    await expect.poll(() => second.messages.length).toBe(1);
    expect({ first: first.bodies, second: second.bodies }).toEqual({ first: [1], second: [2] });
  },

  'of priorities deliver the highest first': async (bench) => {
    const broker = await bench.connect();
    const ranked = queue('ranked', z.string(), { type: 'classic', maxPriority: 5 });
    const producer = broker.producer(ranked);
    for (const [text, priority] of [
      ['low', 1],
      ['high', 5],
      ['middle', 3],
    ] as const)
      await producer.send(text, { priority });
    const seen = new Seen<string>();
    broker.consumer(ranked, seen.handler);
    await expect.poll(() => seen.messages.length).toBe(3);
    expect(seen.bodies).toEqual(['high', 'middle', 'low']);
  },

  'of an exclusive consumer let no other one in until it leaves': async (bench) => {
    const broker = await bench.connect();
    const guarded = queue('guarded', z.number(), { type: 'classic' });
    const first = broker.consumer(guarded, () => undefined, { exclusive: true });
    await first.ready;
    const second = broker.consumer(guarded, () => undefined);
    const refusal = () => ('error' in second.state ? second.state.error?.message : undefined);
    await expect
      .poll(() => /exclusive/.test(refusal() ?? ''), { message: 'the server to refuse the second consumer' })
      .toBe(true);
    expect(second.state.status).toBe('starting');
    await first.close();
    await second.ready;
  },

  'of a length drop the oldest to the dead letters': async (bench) => {
    const broker = await bench.connect();
    const short = queue('short', z.number(), { maxLength: 2, overflow: 'drop-head' });
    await broker.producer(short).sendAll([1, 2, 3]);
    await expect.poll(async () => (await broker.stats('short.dead')).messages).toBe(1);
    const dead = new Seen<number>();
    broker.consumer(queue('short.dead', z.number(), { declare: false, deadLetter: false }), dead.handler);
    await expect.poll(() => dead.messages.length).toBe(1);
    expect(dead.bodies).toEqual([1]);
  },

  'of a short life end without use': async (bench) => {
    const broker = await bench.connect();
    await broker.declare(queue('brief', z.string(), { type: 'classic', expiresMs: 100, deadLetter: false }));
    await passing(600, 'the queue expires without use, and asking for it would be a use');
    await expect(broker.stats('brief')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  },

  'that other clients declare by default are the same queue': async (bench) => {
    const broker = await bench.connect();
    const plain = queue('plain', z.string(), { type: 'classic', retry: false, deadLetter: false });
    await broker.declare(plain);
    await expect(
      broker.declare(queue('plain', z.string(), { type: 'classic', deadLetter: false })),
    ).resolves.toBeUndefined();
  },

  'are asked for by names that a queue can have': async (bench) => {
    const broker = await bench.connect();
    for (const name of ['', 'x'.repeat(256), 'half \ud800']) {
      const refused = {
        code: 'INVALID_OPTION',
        option: 'queue',
        message: expect.stringContaining('255 bytes'),
      };
      await expect(broker.stats(name)).rejects.toMatchObject(refused);
      await expect(broker.purge(name)).rejects.toMatchObject(refused);
    }
  },

  'take text and bytes as they are': async (bench) => {
    const broker = await bench.connect();
    const lines = queue('lines', z.string(), { codec: 'text' });
    const blobs = queue('blobs', z.instanceof(Uint8Array), { codec: 'bytes' });
    const [text, bytes] = [new Seen<string>(), new Seen<Uint8Array>()];
    broker.consumer(lines, text.handler);
    broker.consumer(blobs, bytes.handler);
    await broker.producer(lines).send('grüße');
    const blob = new Uint8Array([0, 255, 128]);
    await broker.producer(blobs).send(blob);
    blob.fill(7);
    await expect.poll(() => text.messages.length + bytes.messages.length).toBe(2);
    expect(text.bodies).toEqual(['grüße']);
    expect([...(bytes.bodies[0] ?? [])]).toEqual([0, 255, 128]);
  },
});

suite('many contracts', {
  'are declared together, each after what it names, and fail with the first of them that is refused': async (
    bench,
  ) => {
    const broker = await bench.connect();
    const events = exchange('events', z.string(), { type: 'fanout' });
    const classic = { type: 'classic', deadLetter: false } as const;
    const letters = queue('letters', z.string(), classic);
    const bound = Array.from({ length: 30 }, (_, at) =>
      queue(`bound${at}`, z.string(), {
        type: 'classic',
        deadLetter: 'letters',
        bindings: [{ exchange: 'events' }],
      }),
    );
    await broker.declare(events, letters, ...bound);
    await broker.producer(events).send('a', { mandatory: true });
    const counts = await Promise.all(bound.map(async (contract) => (await broker.stats(contract)).messages));
    expect(counts).toEqual(Array(30).fill(1));

    const refused = [3, 7].map((at) => queue(`bound${at}`, z.string(), { ...classic, maxLength: 1 }));
    await expect(broker.declare(...bound.slice(10), ...refused)).rejects.toMatchObject({
      code: 'MISMATCH',
      target: 'bound3',
    });
  },
});

suite('a queue that exists otherwise', {
  'is refused with all that differs, and with what to write in the contract': async (bench) => {
    const broker = await bench.connect();
    const body = z.object({ n: z.number() });
    await broker.declare(queue('jobs', body, { maxLength: 100, messageTtlMs: 5_000, retry: false }));
    await broker.producer(queue('jobs', body, { declare: 'passive' })).send({ n: 1 });
    const other = await bench.connect();
    const ours = queue('jobs', body, { type: 'classic', maxLength: 200, maxPriority: 3, deadLetter: false });
    const error = await other.declare(ours).catch((reason: unknown) => reason);
    if (!(error instanceof TopologyError)) throw error;
    expect(error.code).toBe('MISMATCH');
    const advice = Object.fromEntries(error.differences.map((it) => [it.argument, it.advice]));
    expect(advice).toMatchObject({
      'x-queue-type': "type: 'quorum'",
      'x-max-length': 'maxLength: 100',
      'x-message-ttl': 'messageTtlMs: 5000',
      'x-max-priority': 'no maxPriority',
      'x-dead-letter-routing-key': "deadLetter: 'jobs.dead'",
    });
    for (const text of [
      'maxLength',
      'messageTtlMs',
      'maxPriority',
      "deadLetter: 'jobs.dead'",
      'loses its messages',
    ])
      expect(error.message).toContain(text);
    // Looking changes nothing.
    await expect.poll(() => other.stats('jobs')).toMatchObject({ messages: 1 });
    const written = { maxLength: 100, messageTtlMs: 5_000, deadLetter: 'jobs.dead' };
    await other.declare(queue('jobs', body, written));
  },

  'of durability, exclusiveness and arguments is told alike, and so is an exchange': async (bench) => {
    const broker = await bench.connect();
    const body = z.string();
    await broker.declare(queue('plain', body, { type: 'classic', deadLetter: false, expiresMs: 60_000 }));
    const wrong = queue('plain', body, { type: 'classic', deadLetter: false, autoDelete: true });
    const refused = await broker.declare(wrong).catch((reason: unknown) => reason);
    expect(refused).toMatchObject({
      code: 'MISMATCH',
      differences: expect.arrayContaining([
        expect.objectContaining({ option: 'autoDelete', advice: 'autoDelete: false' }),
        expect.objectContaining({ option: 'expiresMs', advice: 'expiresMs: 60000' }),
      ]),
    });
    await broker.declare(exchange('events', body, { type: 'topic' }));
    const fanout = exchange('events', body, { type: 'fanout', durable: false });
    await expect(broker.declare(fanout)).rejects.toMatchObject({
      code: 'MISMATCH',
      message: expect.stringContaining('loses its bindings'),
      differences: [
        expect.objectContaining({ option: 'type', advice: "type: 'topic'" }),
        expect.objectContaining({ option: 'durable', advice: 'durable: true' }),
      ],
    });
  },
});
