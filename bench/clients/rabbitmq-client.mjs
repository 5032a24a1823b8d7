import { Connection } from 'rabbitmq-client';
import { argumentsOf, Order } from './common.mjs';

export async function open({ url, queue, type }) {
  const rabbit = new Connection(url);
  await rabbit.onConnect();
  const open = [];
  return {
    async sender() {
      await rabbit.queueDeclare({ queue, durable: true, arguments: argumentsOf(type) });
      const publisher = rabbit.createPublisher({ confirm: true });
      open.push(publisher);
      return (body) => publisher.send({ routingKey: queue, durable: true }, body);
    },
    async consume(handle, prefetch) {
      const consumer = rabbit.createConsumer(
        {
          queue,
          queueOptions: { durable: true, arguments: argumentsOf(type) },
          qos: { prefetchCount: prefetch ?? 256 },
        },
        async ({ body }) => handle(Order.parse(body)),
      );
      consumer.on('error', (error) => {
        throw error;
      });
      open.push(consumer);
    },
    async requester() {
      const responder = rabbit.createConsumer(
        {
          queue,
          queueOptions: { durable: true, arguments: argumentsOf('classic') },
          qos: { prefetchCount: 50 },
        },
        async ({ body }, reply) => reply({ price: body.sku.length }),
      );
      await new Promise((resolve) => responder.once('ready', resolve));
      const client = rabbit.createRPCClient({ confirm: false });
      open.push(responder, client);
      return async (sku) => (await client.send(queue, { sku })).body;
    },
    async close() {
      for (const it of open) await it.close();
      await rabbit.close();
    },
  };
}
