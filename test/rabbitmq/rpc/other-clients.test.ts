import { randomUUID } from 'node:crypto';
import { Broker, procedure } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost } from '../../helpers/server/index.js';

const double = procedure('double', {
  request: z.object({ n: z.number() }),
  response: z.object({ n: z.number() }),
});

describe('a client that uses bare amqplib', () => {
  it('is answered on a queue of its own, as in the RabbitMQ tutorial', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.responder(double, ({ body }) => ({ n: 2 * body.n })).ready;
    const { queue } = await other.channel.assertQueue('', { exclusive: true });
    const correlationId = randomUUID();
    await other.put('double', { n: 21 }, { replyTo: queue, correlationId });
    const reply = await other.take(queue);
    expect(JSON.parse(reply.content.toString())).toEqual({ n: 42 });
    expect(reply.properties).toMatchObject({ correlationId, contentType: 'application/json' });
  });

  it('is answered directly, and told of errors in a header and in the body', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.responder(double, ({ body }) => {
      if (body.n === 0) throw new RangeError('nothing to double');
      return { n: 2 * body.n };
    }).ready;
    const replies: { id: unknown; body: unknown; error: unknown }[] = [];
    await other.channel.consume(
      'amq.rabbitmq.reply-to',
      (message) => {
        if (!message) return;
        const { correlationId: id, headers } = message.properties;
        replies.push({ id, body: JSON.parse(message.content.toString()), error: headers?.['leveret-error'] });
      },
      { noAck: true },
    );
    const replyTo = 'amq.rabbitmq.reply-to';
    await other.put('double', { n: 1 }, { replyTo, correlationId: 'one' });
    await other.put('double', { n: 0 }, { replyTo, correlationId: 'zero' });
    await expect
      .poll(() => replies)
      .toEqual([
        { id: 'one', body: { n: 2 }, error: undefined },
        {
          id: 'zero',
          body: { error: { code: 'RangeError', message: 'nothing to double' } },
          error: 'RangeError: nothing to double',
        },
      ]);
  });

  it('can be the responder', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await other.channel.assertQueue('double');
    await other.channel.consume('double', (message) => {
      if (!message) return;
      const { n } = JSON.parse(message.content.toString());
      const { replyTo, correlationId } = message.properties;
      const answer = n === 0 ? 'not JSON' : JSON.stringify({ n: 2 * n });
      other.channel.sendToQueue(replyTo, Buffer.from(answer), { correlationId });
      other.channel.ack(message);
    });
    expect(await broker.request(double, { n: 21 })).toEqual({ n: 42 });
    await expect(broker.request(double, { n: 0 })).rejects.toMatchObject({
      code: 'REMOTE',
      remoteCode: 'INVALID_BODY',
    });
  });

  it('finds the same queue: durable, classic, without an argument', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    await broker.declare(double);
    await expect(other.channel.assertQueue('double')).resolves.toMatchObject({ queue: 'double' });
  });
});
