import rascal from 'rascal';
import { argumentsOf, Order } from './common.mjs';

export async function open({ url, queue, type, prefetch }) {
  const broker = await rascal.BrokerAsPromised.create({
    vhosts: {
      [decodeURIComponent(new URL(url).pathname.slice(1)) || '/']: {
        connection: { url, socketOptions: { noDelay: true } },
        queues: { [queue]: { options: { durable: true, arguments: argumentsOf(type) } } },
        publications: { orders: { queue, confirm: true, options: { persistent: true } } },
        subscriptions: { orders: { queue, prefetch: prefetch ?? 256 } },
      },
    },
  });
  broker.on('error', (error) => {
    throw error;
  });
  return {
    sender: async () => async (body) => {
      const publication = await broker.publish('orders', body);
      await new Promise((resolve, reject) => publication.on('success', resolve).on('error', reject));
    },
    async consume(handle) {
      const subscription = await broker.subscribe('orders');
      subscription.on('message', (_message, content, acknowledge) => {
        handle(Order.parse(content));
        acknowledge();
      });
      subscription.on('error', (error) => {
        throw error;
      });
    },
    close: () => broker.shutdown(),
  };
}
