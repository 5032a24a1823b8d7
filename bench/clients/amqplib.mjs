// amqplib's promise API, and nothing more than the work asks for: persistent, confirmed, validated on receive.
import { randomUUID } from 'node:crypto';
import { connectionsTo } from './amqplib-connections.mjs';
import { argumentsOf, Order } from './common.mjs';

export async function open({ url, queue, type }) {
  const connections = connectionsTo(url);
  return {
    async sender() {
      const channel = await (await connections.open()).createConfirmChannel();
      await channel.assertQueue(queue, { durable: true, arguments: argumentsOf(type) });
      const options = { persistent: true, contentType: 'application/json' };
      return (body) =>
        new Promise((resolve, reject) => {
          channel.sendToQueue(queue, Buffer.from(JSON.stringify(body)), options, (error) =>
            error ? reject(error) : resolve(),
          );
        });
    },
    async consume(handle, prefetch) {
      const channel = await (await connections.open()).createChannel();
      await channel.assertQueue(queue, { durable: true, arguments: argumentsOf(type) });
      await channel.prefetch(prefetch ?? 256);
      await channel.consume(queue, (message) => {
        handle(Order.parse(JSON.parse(message.content.toString())));
        channel.ack(message);
      });
    },
    async requester() {
      const [asking, answering] = [await connections.open(), await connections.open()];
      const responder = await answering.createChannel();
      await responder.assertQueue(queue, { durable: true, arguments: argumentsOf('classic') });
      await responder.prefetch(50);
      await responder.consume(queue, (message) => {
        const { sku } = JSON.parse(message.content.toString());
        const { replyTo, correlationId } = message.properties;
        responder.sendToQueue(replyTo, Buffer.from(JSON.stringify({ price: sku.length })), { correlationId });
        responder.ack(message);
      });
      const channel = await asking.createChannel();
      const waiting = new Map();
      await channel.consume(
        'amq.rabbitmq.reply-to',
        (message) => {
          const { correlationId } = message.properties;
          waiting.get(correlationId)?.(JSON.parse(message.content.toString()));
          waiting.delete(correlationId);
        },
        { noAck: true },
      );
      return (sku) =>
        new Promise((resolve) => {
          const correlationId = randomUUID();
          waiting.set(correlationId, resolve);
          channel.sendToQueue(queue, Buffer.from(JSON.stringify({ sku })), {
            correlationId,
            replyTo: 'amq.rabbitmq.reply-to',
          });
        });
    },
    close: connections.close,
  };
}
