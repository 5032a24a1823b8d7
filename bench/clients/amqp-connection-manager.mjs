import { connect } from 'amqp-connection-manager';
import { argumentsOf, Order } from './common.mjs';

export async function open({ url, queue, type }) {
  const connections = [];
  const channel = async () => {
    const connection = connect([url], { connectionOptions: { noDelay: true } });
    connections.push(connection);
    const wrapper = connection.createChannel({
      json: true,
      confirm: true,
      setup: (it) => it.assertQueue(queue, { durable: true, arguments: argumentsOf(type) }),
    });
    await wrapper.waitForConnect();
    return wrapper;
  };
  return {
    async sender() {
      const wrapper = await channel();
      return (body) => wrapper.sendToQueue(queue, body, { persistent: true });
    },
    async consume(handle, prefetch) {
      const wrapper = await channel();
      await wrapper.consume(
        queue,
        (message) => {
          handle(Order.parse(JSON.parse(message.content.toString())));
          wrapper.ack(message);
        },
        { prefetch: prefetch ?? 256 },
      );
    },
    close: () => Promise.all(connections.map((it) => it.close())),
  };
}
