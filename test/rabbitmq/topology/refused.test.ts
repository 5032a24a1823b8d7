import { Broker, exchange, queue, TopologyError } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost, type TestVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const note = z.object({ text: z.string() });

/** All three ways to come across a contract that the server refuses. */
async function refusalsOf(broker: Broker, contract: ReturnType<typeof queue>) {
  const consumer = broker.consumer(contract, () => undefined);
  const refusals = await Promise.all(
    [broker.declare(contract), broker.producer(contract).send({ text: 'hello' }), consumer.ready].map(
      (asked) =>
        (asked as Promise<unknown>).then(
          () => expect.fail('It was not refused.'),
          (error: unknown) => error,
        ),
    ),
  );
  expect(await consumer.closed).toBe(refusals[2]);
  expect(consumer.state).toMatchObject({ status: 'closed', error: refusals[2] });
  for (const error of refusals) expect(error).toBeInstanceOf(TopologyError);
  return refusals as TopologyError[];
}

describe('a queue that exists otherwise', () => {
  it.each([
    ['x-max-length', { maxLength: 10 }, { 'x-max-length': 5 }, /10/, /5/],
    ['x-message-ttl', { messageTtlMs: 5_000 }, {}, /5000/, /none/],
    ['x-max-priority', {}, { 'x-max-priority': 3 }, /none/, /3/],
  ])('is refused with the argument %s and both values', async (argument, options, existing, ours, theirs) => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await other.channel.assertQueue('taken', { arguments: existing });
    await using broker = await Broker.connect(vhost.url);
    for (const error of await refusalsOf(
      broker,
      queue('taken', note, { type: 'classic', deadLetter: false, ...options }),
    )) {
      expect(error).toMatchObject({ code: 'MISMATCH', argument, retryable: false });
      expect(error.target).toBe('taken');
      expect(error.declared).toMatch(ours);
      expect(error.existing).toMatch(theirs);
      for (const part of [argument, error.declared, error.existing]) expect(error.message).toContain(part);
    }
  });

  it('of another kind or durability is refused by its property', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await other.channel.assertQueue('classic');
    await other.channel.assertQueue('lasting', { durable: true, autoDelete: false });
    await using broker = await Broker.connect(vhost.url);
    for (const error of await refusalsOf(broker, queue('classic', note))) {
      // The server names one of those that differ.
      expect(error).toMatchObject({ code: 'MISMATCH', argument: expect.stringMatching(/^x-/) });
      for (const part of [error.argument, error.declared, error.existing])
        expect(error.message).toContain(part);
    }
    const autoDelete = queue('lasting', note, { type: 'classic', autoDelete: true, deadLetter: false });
    for (const error of await refusalsOf(broker, autoDelete)) {
      expect(error).toMatchObject({
        code: 'MISMATCH',
        argument: 'auto_delete',
        declared: expect.stringMatching(/true/),
        existing: expect.stringMatching(/false/),
      });
    }
  });

  it('is asked for once by each that is refused, and not again by itself', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    await using other = await otherClient(vhost.url);
    await other.channel.assertQueue('taken', { arguments: { 'x-max-length': 5 } });
    await using broker = await Broker.connect(proxy.via(vhost.url), { reconnect: { initialDelayMs: 1 } });
    const taken = queue('taken', note, { type: 'classic', deadLetter: false });
    const declarations = () =>
      wire.of('50.10', 'to-server').filter(({ payload }) => payload.includes('taken')).length;
    await refusalsOf(broker, taken);
    const asked = declarations();
    expect(asked).toBeGreaterThan(0);
    // Each of them asks once more for what else differs.
    expect(asked).toBeLessThanOrEqual(6);
    // Time for ten tries, had there been any.
    for (let n = 0; n < 10; n++) await broker.declare(queue(`other-${n}`, note, { type: 'classic' }));
    expect(declarations()).toBe(asked);
    expect(proxy.accepted).toBe(2);
  });

  it('is left as it was, and what is made differently beside it works', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await other.channel.assertQueue('taken', { arguments: { 'x-max-length': 5 } });
    await using broker = await Broker.connect(vhost.url);
    const wrong = broker.producer(queue('taken', note));
    await expect(wrong.send({ text: 'hello' })).rejects.toMatchObject({ code: 'MISMATCH' });
    await expect(wrong.send({ text: 'again' })).rejects.toMatchObject({ code: 'MISMATCH' });
    const right = queue('taken', note, { type: 'classic', maxLength: 5, deadLetter: false });
    await broker.producer(right).send({ text: 'hello' });
    await vhost.management.deleteQueue('taken');
    // Not refused forever: the next send finds it gone, and declares it.
    await wrong.send({ text: 'at last' });
    expect(await vhost.management.queue('taken')).toMatchObject({ type: 'quorum' });
  });

  it('is taken as it is when it is only the dead-letter queue', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await other.channel.assertQueue('jobs.dead');
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(queue('jobs', note));
    expect((await vhost.management.queue('jobs.dead')).type).toBe('classic');
  });
});

describe('an exchange that exists otherwise', () => {
  it('is refused with both types', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(exchange('events', note, { type: 'topic' }));
    const fanout = exchange('events', note, { type: 'fanout' });
    const mismatch = {
      code: 'MISMATCH',
      argument: 'type',
      declared: expect.stringMatching(/fanout/),
      existing: expect.stringMatching(/topic/),
    };
    await expect(broker.declare(fanout)).rejects.toMatchObject(mismatch);
    await expect(broker.producer(fanout).send({ text: 'hello' })).rejects.toMatchObject(mismatch);
    await expect(broker.consumer(fanout.queue('bound'), () => undefined).ready).rejects.toMatchObject(
      mismatch,
    );
  });

  it('that is missing is named when a queue is to be bound to it', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    await other.channel.assertQueue('bound');
    const bound = queue('bound', note, {
      type: 'classic',
      deadLetter: false,
      bindings: [{ exchange: 'missing', routingKey: 'k' }],
    });
    for (const error of await refusalsOf(broker, bound)) {
      expect(error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringMatching(/missing/) });
    }
  });
});

describe('a user without the right to declare', () => {
  async function userWith(vhost: TestVhost, configure: string) {
    const name = `user-${vhost.name}`;
    await vhost.management.createUser(name, 'secret', { configure, write: '.*', read: '.*' });
    return {
      url: vhost.url.replace('guest:guest@', `${name}:secret@`),
      [Symbol.asyncDispose]: () => vhost.management.deleteUser(name),
    };
  }

  it('gets that reason for a queue, and can still use one that exists', async () => {
    await using vhost = await createVhost();
    await using user = await userWith(vhost, '^$');
    await using broker = await Broker.connect(user.url);
    for (const error of await refusalsOf(broker, queue('notes', note))) {
      expect(error).toMatchObject({
        code: 'ACCESS_REFUSED',
        retryable: false,
        message: expect.stringMatching(/notes/),
      });
    }
    await using owner = await Broker.connect(vhost.url);
    await owner.declare(queue('notes', note));
    const existing = queue('notes', note, { declare: 'passive' });
    await broker.producer(existing).send({ text: 'hello' });
    const got: string[] = [];
    await broker.consumer(existing, ({ body }) => void got.push(body.text)).ready;
    await expect.poll(() => got).toEqual(['hello']);
  });

  it('gets that reason for the dead-letter queue and for an exchange', async () => {
    await using vhost = await createVhost();
    await using user = await userWith(vhost, '^notes$');
    await using broker = await Broker.connect(user.url);
    for (const error of await refusalsOf(broker, queue('notes', note))) {
      expect(error).toMatchObject({ code: 'ACCESS_REFUSED', message: expect.stringMatching(/notes\.dead/) });
    }
    await broker.declare(queue('notes', note, { deadLetter: false }));
    const events = exchange('events', note, { type: 'fanout' });
    await expect(broker.producer(events).send({ text: 'hello' })).rejects.toMatchObject({
      code: 'ACCESS_REFUSED',
    });
  });
});
