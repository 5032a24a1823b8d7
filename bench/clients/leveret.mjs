import { z } from 'zod';
import { Broker, procedure, queue as queueContract } from '../../dist/index.js';
import { bodyOf, Order } from './common.mjs';

export async function open({ url, queue, type }) {
  const broker = await Broker.connect(url);
  const orders = queueContract(queue, Order, { type, retry: false, deadLetter: false });
  return {
    async sender() {
      const producer = broker.producer(orders);
      return (body) => producer.send(body);
    },
    async sendAll(count, pad) {
      function* bodies() {
        for (let n = 1; n <= count; n++) yield bodyOf(n, pad);
      }
      const { failed } = await broker.producer(orders).sendAll(bodies());
      if (failed.length > 0) throw failed[0].error;
    },
    async consume(handle, prefetch) {
      await broker.consumer(orders, ({ body }) => handle(body), { prefetch: prefetch ?? 'auto' }).ready;
    },
    async loop(handle, prefetch) {
      const consumer = broker.consumer(orders, { prefetch: prefetch ?? 'auto' });
      void (async () => {
        for await (const { body } of consumer) handle(body);
      })();
      await consumer.ready;
    },
    async requester() {
      const quote = procedure(queue, {
        request: z.object({ sku: z.string() }),
        response: z.object({ price: z.number() }),
      });
      await broker.responder(quote, ({ body }) => ({ price: body.sku.length })).ready;
      return (sku) => broker.request(quote, { sku });
    },
    close: () => broker.close(),
  };
}
