// One measurement in a process of its own: messages that are sent, confirmed, delivered, validated, handled and acknowledged.
// `node round-trips.mjs leveret|amqplib <url> <count>` prints one line of JSON.
import { randomUUID } from 'node:crypto';
import { connect } from 'amqplib';
import { z } from 'zod';
import { Broker, queue } from '../dist/index.js';

const [client, url, total] = process.argv.slice(2);
const count = Number(total);

/** Both clients work with these. */
const WINDOW = 1_000;
const PREFETCH = 500;
const WARM_UP = 10_000;

const Order = z.object({ id: z.string(), customer: z.string(), total: z.number(), paid: z.boolean() });
const name = `leveret-bench-${randomUUID()}`;
const orders = queue(name, Order, { retry: false, deadLetter: false });
const bodyOf = (n) => ({ id: `SO-${n}`, customer: 'ada@example.com', total: n / 100, paid: n % 2 === 0 });

/** Counts what was handled; `reached` resolves at a number of them. */
const handled = { count: 0, goal: 0, reach: () => {} };
function reached(goal) {
  return new Promise((resolve) => {
    Object.assign(handled, { goal, reach: resolve });
    if (handled.count >= goal) resolve();
  });
}
function handle(body) {
  if (body.id !== '' && ++handled.count === handled.goal) handled.reach();
}

function* bodies(many) {
  for (let n = 0; n < many; n++) yield bodyOf(n);
}

async function withLeveret() {
  const broker = await Broker.connect(url);
  await broker.consumer(orders, ({ body }) => handle(body), { prefetch: PREFETCH }).ready;
  const producer = broker.producer(orders, { maxInFlight: WINDOW });
  return {
    async send(many) {
      const { failed } = await producer.sendAll(bodies(many));
      if (failed.length > 0) throw failed[0].error;
    },
    async close() {
      await broker.delete(orders);
      await broker.close();
    },
  };
}

/** As little as does the same: persistent, mandatory, confirmed, with an id; two connections; TCP_NODELAY on. */
async function withAmqplib() {
  const [publishing, consuming] = await Promise.all([1, 2].map(() => connect(url, { noDelay: true })));
  const channel = await publishing.createConfirmChannel();
  const inbox = await consuming.createChannel();
  channel.on('return', () => {
    throw new Error('a message came back');
  });
  await channel.assertQueue(name, {
    durable: true,
    arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 20 },
  });
  await inbox.prefetch(PREFETCH);
  await inbox.consume(name, (message) => {
    handle(Order.parse(JSON.parse(message.content.toString())));
    inbox.ack(message);
  });
  return {
    send: (many) =>
      new Promise((resolve, reject) => {
        let next = 0;
        let confirmed = 0;
        const publish = () => {
          while (next < many && next - confirmed < WINDOW) {
            const content = Buffer.from(JSON.stringify(Order.parse(bodyOf(next++))));
            const options = {
              persistent: true,
              mandatory: true,
              contentType: 'application/json',
              messageId: randomUUID(),
              timestamp: Math.floor(Date.now() / 1_000),
            };
            channel.sendToQueue(name, content, options, (error) => {
              if (error) reject(error);
              else if (++confirmed === many) resolve();
              else publish();
            });
          }
        };
        publish();
      }),
    async close() {
      await channel.deleteQueue(name);
      await Promise.all([publishing.close(), consuming.close()]);
    },
  };
}

const subject = await (client === 'leveret' ? withLeveret() : withAmqplib());
await Promise.all([subject.send(WARM_UP), reached(WARM_UP)]);

const startedAt = performance.now();
const cpuBefore = process.cpuUsage();
await Promise.all([subject.send(count), reached(WARM_UP + count)]);
const cpu = process.cpuUsage(cpuBefore);
const seconds = (performance.now() - startedAt) / 1_000;

await subject.close();
console.log(JSON.stringify({ perSecond: count / seconds, cpuUs: (cpu.user + cpu.system) / count }));
