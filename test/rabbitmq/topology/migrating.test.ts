import { connect } from 'amqplib';
import { Broker, exchange, type QueueOptions, queue } from 'leveret';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost, type TestVhost } from '../../helpers/server/index.js';

/** What `docs/migrating.md` says of the queues that programs on amqplib have declared. */
const CONTRACTS: readonly (readonly [declared: object, contract: QueueOptions])[] = [
  [{}, { type: 'classic', deadLetter: false }],
  [{ autoDelete: true }, { type: 'classic', autoDelete: true, deadLetter: false }],
  [
    { messageTtl: 60_000, expires: 60_000, maxLength: 10, maxPriority: 5 },
    {
      type: 'classic',
      deadLetter: false,
      messageTtlMs: 60_000,
      expiresMs: 60_000,
      maxLength: 10,
      maxPriority: 5,
    },
  ],
  [{ arguments: { 'x-queue-type': 'quorum' } }, { declare: 'passive' }],
  [
    { deadLetterExchange: 'dlx', deadLetterRoutingKey: 'q' },
    {
      type: 'classic',
      deadLetter: false,
      arguments: { 'x-dead-letter-exchange': 'dlx', 'x-dead-letter-routing-key': 'q' },
    },
  ],
];

let vhost: TestVhost;
let broker: Broker;
let other: Awaited<ReturnType<typeof connect>>;

beforeAll(async () => {
  vhost = await createVhost();
  broker = await Broker.connect(vhost.url);
  other = await connect(vhost.url);
});
afterAll(async () => {
  await broker.close();
  await other.close();
  await vhost[Symbol.asyncDispose]();
});

describe('a queue that amqplib has declared', () => {
  it.each(CONTRACTS)('with %o fits the contract %o', async (declared, options) => {
    const channel = await other.createChannel();
    const { queue: name } = await channel.assertQueue(
      `old-${CONTRACTS.findIndex(([it]) => it === declared)}`,
      declared,
    );
    const contract = queue(name, z.object({ n: z.int() }), options);
    await broker.declare(contract);
    await broker.producer(contract).send({ n: 1 });
    await expect.poll(() => broker.stats(contract)).toMatchObject({ messages: 1 });
    await channel.close();
  });

  it('is bound by the contract of its exchange, as it was', async () => {
    const channel = await other.createChannel();
    await channel.assertExchange('e', 'topic');
    await channel.assertQueue('bound');
    await channel.bindQueue('bound', 'e', 'key.*');
    const events = exchange('e', z.object({ n: z.int() }), { type: 'topic' });
    const bound = events.queue('bound', 'key.*', { type: 'classic', deadLetter: false });
    await broker.declare(bound);
    await broker.producer(events).send({ n: 1 }, { routingKey: 'key.a', mandatory: true });
    await expect.poll(() => broker.stats(bound)).toMatchObject({ messages: 1 });
    await channel.close();
  });
});
