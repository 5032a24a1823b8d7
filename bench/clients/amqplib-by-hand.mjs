// amqplib made to keep what Leveret promises of a send: validated, mandatory, with an id and a timestamp, settled in time, counted
// as lost when it comes back. Its consumer is that of bare amqplib.
import { randomUUID } from 'node:crypto';
import { open as openBare } from './amqplib.mjs';
import { connectionsTo } from './amqplib-connections.mjs';
import { argumentsOf, Order } from './common.mjs';

const TIMEOUT_MS = 30_000;

export async function open(options) {
  const { url, queue, type } = options;
  const bare = await openBare(options);
  const connections = connectionsTo(url);
  return {
    ...bare,
    async sender() {
      const channel = await (await connections.open()).createConfirmChannel();
      await channel.assertQueue(queue, { durable: true, arguments: argumentsOf(type) });
      const returned = new Set();
      channel.on('return', ({ properties }) => returned.add(properties.messageId));
      return (body) =>
        new Promise((resolve, reject) => {
          const messageId = randomUUID();
          const timer = setTimeout(() => reject(new Error('not confirmed in time')), TIMEOUT_MS);
          const content = Buffer.from(JSON.stringify(Order.parse(body)));
          const properties = {
            persistent: true,
            mandatory: true,
            contentType: 'application/json',
            messageId,
            timestamp: Math.floor(Date.now() / 1000),
          };
          channel.sendToQueue(queue, content, properties, (error) => {
            clearTimeout(timer);
            if (error) reject(error);
            else if (returned.delete(messageId)) reject(new Error('no queue took it'));
            else resolve({ messageId });
          });
        });
    },
    close: () => Promise.all([bare.close(), connections.close()]),
  };
}
