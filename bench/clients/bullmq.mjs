// On Redis, not RabbitMQ: another server with other promises, for those who choose between the two.
import { Queue, Worker } from 'bullmq';
import { Order } from './common.mjs';

export const server = 'redis';

export async function open({ url, queue, prefetch }) {
  const { hostname, port } = new URL(url);
  const connection = { host: hostname, port: Number(port), maxRetriesPerRequest: null };
  const open = [];
  return {
    async sender() {
      const jobs = new Queue(queue, { connection });
      open.push(jobs);
      const options = { removeOnComplete: true };
      return (body) => jobs.add('order', body, options);
    },
    async consume(handle) {
      const worker = new Worker(queue, async ({ data }) => handle(Order.parse(data)), {
        connection,
        concurrency: prefetch ?? 256,
      });
      open.push(worker);
      await worker.waitUntilReady();
    },
    async close() {
      for (const it of open) await it.close();
    },
  };
}
