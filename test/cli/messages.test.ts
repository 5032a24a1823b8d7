import { Broker, delays } from 'leveret';
import { describe, expect, inject, it } from 'vitest';
import { contractsFile, leveret, startLeveret } from '../helpers/cli/leveret.js';
import { otherClient } from '../helpers/other-client.js';
import { createVhost, queueDepth, type TestVhost } from '../helpers/server/index.js';
import { emails, orders } from './contracts.js';

const contracts = contractsFile();

const environment = ({ url }: TestVhost) => ({
  RABBITMQ_URL: url,
  RABBITMQ_MANAGEMENT_URL: inject('server').managementUrl,
});

/** Two letters that a handler gave up, and one that is no JSON. */
async function failTwo(vhost: TestVhost): Promise<void> {
  await using broker = await Broker.connect(vhost.url);
  await using other = await otherClient(vhost.url);
  const consumer = broker.consumer(emails, () => {
    throw new Error('no \u001b[31mroute');
  });
  const letters: unknown[] = [];
  broker.on('dead-lettered', (event) => letters.push(event));
  await consumer.ready;
  await broker.producer(emails).send({ to: 'ada' }, { messageId: 'first' });
  await broker.producer(emails).send({ to: 'bob' }, { messageId: 'second' });
  await other.put('emails', 'not JSON', { messageId: 'third' });
  await expect.poll(() => letters.length).toBe(3);
}

describe('leveret send and tail', () => {
  it('send one message, show it, and leave it where it is', async () => {
    await using vhost = await createVhost();
    const env = environment(vhost);
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(emails);
    const sent = await leveret(
      [
        'send',
        'emails',
        '{"to":"ada"}',
        '--header',
        'tenant=a=b',
        '--message-id',
        'one',
        '--contracts',
        contracts,
        '--json',
      ],
      { env },
    );
    expect(sent).toEqual({
      code: 0,
      stdout: '{"sent":1,"failed":[],"messageIds":["one"]}\n',
      stderr: 'loaded\n',
    });
    for (let look = 0; look < 2; look++) {
      const { code, stdout } = await leveret(['tail', 'emails', '--json', '--yes'], { env });
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        messageId: 'one',
        exchange: '',
        routingKey: 'emails',
        headers: { tenant: 'a=b' },
        body: { to: 'ada' },
      });
    }
    expect(await queueDepth(vhost.url, 'emails')).toBe(1);
  });

  it('delays with what a program has declared, and declares nothing', async () => {
    await using vhost = await createVhost();
    const env = environment(vhost);
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(emails);
    const args = ['send', 'emails', '{"to":"ada"}', '--delay', '200', '--contracts', contracts, '--json'];
    const refused = await leveret(args, { env });
    expect(refused).toMatchObject({ code: 1, stdout: '' });
    expect(refused.stderr).toMatch(/'leveret\.delay\.250ms'.+declares nothing.+delays\(contract\)/s);
    await expect(broker.stats('leveret.delay.undelivered')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await broker.declare(delays(emails));
    expect(await leveret(args, { env })).toMatchObject({ code: 0 });
    await expect.poll(() => queueDepth(vhost.url, 'emails')).toBe(1);
  });

  it('tells which lines of stdin could not be sent', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(emails);
    const input = '{"to":"ada"}\n\nno JSON\n{"to":1}\n{"to":"bob"}\n';
    const args = ['send', 'emails', '--contracts', contracts, '--json'];
    const { code, stdout } = await leveret(args, { env: environment(vhost), input });
    expect(code).toBe(1);
    const { sent, failed, messageIds } = JSON.parse(stdout);
    expect(sent).toBe(2);
    expect(messageIds).toHaveLength(2);
    expect(failed).toMatchObject([
      { index: 1, code: 'INVALID_BODY' },
      { index: 2, code: 'INVALID_BODY' },
    ]);
    expect(await queueDepth(vhost.url, 'emails')).toBe(2);
  });

  it('declares nothing, and fails where no queue takes the message', async () => {
    await using vhost = await createVhost();
    const env = environment(vhost);
    const { code, stdout } = await leveret(
      ['send', 'emails', '{"to":"ada"}', '--contracts', contracts, '--json'],
      { env },
    );
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      sent: 0,
      failed: [{ index: 0, code: 'UNROUTABLE' }],
      messageIds: [],
    });
    expect(await vhost.management.queues()).toEqual([]);
  });

  it('says at once that a queue does not exist, before it asks about the cost of a look', async () => {
    await using vhost = await createVhost();
    const { code, stderr } = await leveret(['tail', 'emails'], { env: environment(vhost) });
    expect(code).toBe(1);
    expect(stderr).toBe("leveret: there is no queue 'emails' in this virtual host\n");
  });

  it('copies what passes through an exchange until it is interrupted, and leaves nothing behind', async () => {
    await using vhost = await createVhost();
    const env = environment(vhost);
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(orders);
    const tail = startLeveret(['tail', '--exchange', 'orders', '--routing-key', 'eu.#', '--json'], { env });
    await expect
      .poll(
        async () => (await vhost.management.bindings()).filter(({ source }) => source === 'orders').length,
      )
      .toBe(1);
    await broker.producer(orders).send({ id: 'us' }, { routingKey: 'us.order' });
    const sent = await leveret(['send', '--exchange', 'orders', '--routing-key', 'eu.order', '{"id":"1"}'], {
      env,
    });
    expect(sent.code).toBe(0);
    await expect.poll(() => tail.stdout()).toContain('\n');
    tail.kill('SIGINT');
    const { code, stdout, stderr } = await tail.ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      exchange: 'orders',
      routingKey: 'eu.order',
      body: { id: '1' },
    });
    await expect.poll(() => vhost.management.queues()).toEqual([]);
  });

  it('ends without a word when its output is closed', async () => {
    await using vhost = await createVhost();
    const env = environment(vhost);
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(orders);
    const tail = startLeveret(['tail', '--exchange', 'orders', '--json'], { env });
    await expect
      .poll(
        async () => (await vhost.management.bindings()).filter(({ source }) => source === 'orders').length,
      )
      .toBe(1);
    tail.closeOutput();
    await broker
      .producer(orders)
      .sendAll([{ id: '1' }, { id: '2' }, { id: '3' }], { each: { routingKey: 'k' } });
    expect((await tail.ended).stderr).toBe('');
  });
});

describe('leveret dead', { timeout: 120_000 }, () => {
  it('lists, shows, replays and removes dead letters', async () => {
    await using vhost = await createVhost();
    const env = environment(vhost);
    await failTwo(vhost);
    const list = await leveret(['dead', 'list', 'emails', '--json'], { env });
    expect(JSON.parse(list.stdout)).toMatchObject([
      {
        id: 'first',
        error: { code: 'Error', message: 'no \u001b[31mroute' },
        issues: null,
        attempt: 1,
        queue: 'emails',
        bytes: 12,
      },
      { id: 'second' },
      { id: 'third', error: { code: 'INVALID_BODY' }, bytes: 8 },
    ]);
    const table = await leveret(['dead', 'list', 'emails'], { env });
    expect(table.stdout).toContain('no \\x1b[31mroute');
    expect(table.stdout).not.toContain('\u001b');
    const shown = await leveret(['dead', 'show', 'emails', 'second', '--json'], { env });
    expect(JSON.parse(shown.stdout)).toMatchObject({ id: 'second', body: { to: 'bob' } });
    const raw = await leveret(['dead', 'show', 'emails', 'third', '--json'], { env });
    expect(JSON.parse(raw.stdout)).toMatchObject({ bodyBase64: Buffer.from('not JSON').toString('base64') });
    expect((await leveret(['dead', 'show', 'emails', 'none'], { env })).code).toBe(1);

    const byId = ['dead', 'replay', 'emails', '--id', 'second', '--contracts', contracts, '--yes', '--json'];
    const one = await leveret(byId, { env });
    // Another one does not fit, which was not asked for.
    expect(one).toMatchObject({ code: 0, stdout: '{"replayed":1,"invalid":1,"skipped":1}\n' });
    const checked = await leveret(['dead', 'replay', 'emails', '--contracts', contracts, '--yes', '--json'], {
      env,
    });
    expect(checked).toMatchObject({ code: 1, stdout: '{"replayed":1,"invalid":1,"skipped":0}\n' });
    const purged = await leveret(['dead', 'purge', 'emails', '--yes', '--json'], { env });
    expect(purged).toMatchObject({ code: 0, stdout: '{"removed":1}\n' });
    expect(await queueDepth(vhost.url, 'emails')).toBe(2);
  });

  it.each(['replay', 'purge'])('does nothing without --yes and without a terminal: %s', async (command) => {
    const { code, stdout, stderr } = await leveret(['dead', command, 'emails'], {
      env: { RABBITMQ_URL: 'amqp://127.0.0.1:1' },
    });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('--yes');
  });
});

describe('leveret queues', () => {
  it('tells of queues by a pattern, and without the management API of one by its name', async () => {
    await using vhost = await createVhost();
    const env = environment(vhost);
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(emails, orders.queue('billing', 'eu.*'));
    await broker.producer(emails).send({ to: 'ada' });
    const listed = await leveret(['queues', 'emails*', '--json'], { env });
    expect(JSON.parse(listed.stdout)).toMatchObject([
      { name: 'emails', type: 'quorum', ready: 1, consumers: 0 },
      { name: 'emails.dead', ready: 0 },
    ]);
    const away = { ...env, RABBITMQ_MANAGEMENT_URL: 'http://127.0.0.1:1' };
    const one = await leveret(['queues', 'emails', '--json'], { env: away });
    expect(JSON.parse(one.stdout)).toEqual([
      {
        name: 'emails',
        type: null,
        ready: 1,
        unacknowledged: null,
        consumers: 0,
        publishRate: null,
        deliverRate: null,
      },
    ]);
    const none = await leveret(['queues'], { env: away });
    expect(none).toMatchObject({ code: 3, stdout: '' });
    expect(none.stderr).toContain('management API');
  });
});

describe('leveret bench', () => {
  it('measures, and leaves no queue behind', async () => {
    await using vhost = await createVhost();
    const { code, stdout } = await leveret(['bench', '--messages', '200', '--json'], {
      env: environment(vhost),
    });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      messages: 200,
      bodyBytes: 125,
      publish: { perSecond: expect.any(Number) },
      consume: { perSecond: expect.any(Number) },
      roundTrip: { p50Ms: expect.any(Number), p99Ms: expect.any(Number) },
    });
    await expect.poll(() => vhost.management.queues()).toEqual([]);
  });
});
