import { AMQPClient } from '@cloudamqp/amqp-client';
import { argumentsOf, Order } from './common.mjs';

export async function open({ url, queue, type }) {
  const clients = [];
  const channel = async () => {
    const client = new AMQPClient(url);
    clients.push(client);
    const it = await (await client.connect()).channel();
    await it.queueDeclare(queue, { durable: true }, argumentsOf(type));
    return it;
  };
  const properties = { deliveryMode: 2, contentType: 'application/json' };
  return {
    async sender() {
      const it = await channel();
      await it.confirmSelect();
      return (body) => it.basicPublish('', queue, JSON.stringify(body), properties);
    },
    async consume(handle, prefetch) {
      const it = await channel();
      await it.basicQos(prefetch ?? 256);
      await it.basicConsume(queue, { noAck: false }, (message) => {
        handle(Order.parse(JSON.parse(message.bodyString())));
        return message.ack();
      });
    },
    async loop(handle, prefetch) {
      const it = await channel();
      await it.basicQos(prefetch ?? 256);
      const consumer = await it.basicConsume(queue, { noAck: false });
      void (async () => {
        for await (const message of consumer.messages) {
          handle(Order.parse(JSON.parse(message.bodyString())));
          await message.ack();
        }
      })();
    },
    close: () => Promise.all(clients.map((it) => it.close())),
  };
}
