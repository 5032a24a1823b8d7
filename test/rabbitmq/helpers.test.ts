import { connect } from 'amqplib';
import { describe, expect, inject, it } from 'vitest';
import { createVhost, queueCounts, queueDepth, startPrivateServer } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';

describe('the shared server', () => {
  it('states its version', () => {
    expect(inject('server').version).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('carries messages in a virtual host of the test alone', async () => {
    await using vhost = await createVhost();
    const connection = await connect(vhost.url);
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue('greetings', { arguments: { 'x-queue-type': 'quorum' } });
    channel.sendToQueue('greetings', Buffer.from('hello'));
    await channel.waitForConfirms();
    await expect.poll(() => queueDepth(vhost.url, 'greetings')).toBe(1);
    const received = await new Promise((resolve, reject) => {
      channel
        .consume('greetings', (message) => resolve(message?.content.toString()), { noAck: true })
        .catch(reject);
    });
    expect(received).toBe('hello');
    expect(await queueCounts(vhost.url, 'greetings')).toEqual({ messages: 0, consumers: 1 });
    await connection.close();
  });

  it('is looked into through the management API', async () => {
    await using vhost = await createVhost();
    const { management } = vhost;
    const connection = await connect(vhost.url);
    const lost = new Promise((resolve) => connection.once('close', resolve)); // An orderly close is no 'error' to amqplib.
    const channel = await connection.createChannel();
    channel.on('error', () => undefined);
    await channel.assertQueue('mail', { arguments: { 'x-max-length': 5 } });
    await channel.assertExchange('events', 'topic');
    await channel.bindQueue('mail', 'events', 'eu.*');
    await channel.consume('mail', () => undefined);
    await management.putPolicy('limit', {
      pattern: '^mail$',
      definition: { expires: 60_000 },
      applyTo: 'queues',
    });

    expect(await management.queue('mail')).toMatchObject({ durable: true, arguments: { 'x-max-length': 5 } });
    expect(await management.queues()).toHaveLength(1);
    expect(await management.exchanges()).toContainEqual(
      expect.objectContaining({ name: 'events', type: 'topic' }),
    );
    expect(await management.bindings()).toContainEqual(expect.objectContaining({ routing_key: 'eu.*' }));
    await expect.poll(() => management.consumers(), { timeout: 10_000 }).toHaveLength(1);
    await expect.poll(() => management.channels(), { timeout: 10_000 }).toHaveLength(1);
    await expect.poll(() => management.connections(), { timeout: 10_000 }).toHaveLength(1);

    const [listed] = await management.connections();
    await management.closeConnection(listed?.name ?? '');
    expect(await lost).toMatchObject({ code: 320 });
  });

  it('gives users the rights asked for and no others', async () => {
    await using vhost = await createVhost();
    const url = new URL(vhost.url);
    url.username = `reader-${vhost.name}`;
    url.password = 'a/b c';
    const name = decodeURIComponent(url.username);
    await vhost.management.createUser(name, 'a/b c', { read: '.*' });
    try {
      const connection = await connect(url.href);
      const channel = await connection.createChannel();
      channel.on('error', () => undefined);
      await expect(channel.assertQueue('forbidden')).rejects.toMatchObject({ code: 403 });
      await connection.close();
    } finally {
      await vhost.management.deleteUser(name);
    }
  });

  it('is named with what it answered when a request fails', async () => {
    await using vhost = await createVhost();
    await expect(vhost.management.queue('missing')).rejects.toThrow(
      /GET .*\/api\/queues\/.*missing failed with 404/,
    );
  });

  it('can be reached through a proxy', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const connection = await connect(proxy.via(vhost.url));
    const lost = new Promise((resolve) => connection.once('close', resolve));
    connection.on('error', () => undefined);
    proxy.cutAll();
    await lost;
    expect(proxy.accepted).toBe(1);
  });
});

describe('a private server', { timeout: 120_000 }, () => {
  it('keeps the persistent messages of a quorum queue when it is killed', async () => {
    await using server = await startPrivateServer();
    const connection = await connect(server.url);
    connection.on('error', () => undefined);
    const channel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    await channel.assertQueue('orders', { arguments: { 'x-queue-type': 'quorum' } });
    await server.settleMetadata();
    channel.sendToQueue('orders', Buffer.from('paid'), { persistent: true });
    await channel.waitForConfirms();

    const lost = new Promise((resolve) => connection.once('close', resolve));
    await server.kill();
    await lost;
    await expect(connect(server.url)).rejects.toThrow();
    await server.start();

    await expect.poll(() => queueDepth(server.url, 'orders'), { timeout: 10_000 }).toBe(1);
    expect(await server.management.version()).toBe(server.version);
  });

  it('takes configuration, answers rabbitmqctl, and can be paused', async () => {
    await using server = await startPrivateServer({ configuration: ['heartbeat = 7'] });
    const connection = await connect(server.url);
    expect(await server.ctl('environment')).toMatch(/{heartbeat,7}/);
    await server.pause();
    let answered = false;
    const channel = connection.createChannel().then((opened) => {
      answered = true;
      return opened;
    });
    await expect(connect(server.url, { timeout: 500 })).rejects.toThrow();
    expect(answered).toBe(false);
    await server.unpause();
    await channel;
    await connection.close();
  });

  it('starts again after an orderly shutdown', async () => {
    await using server = await startPrivateServer();
    const connection = await connect(server.url);
    const lost = new Promise((resolve) => connection.once('close', resolve));
    connection.on('error', () => undefined);
    await server.shutdown();
    await lost;
    await server.start();
    await (await connect(server.url)).close();
    expect(server.version).toMatch(/^\d+/);
  });
});
