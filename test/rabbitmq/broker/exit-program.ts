/** A program that uses a broker and then does nothing more: it has to end by itself. Run by `exit.test.ts`. */
import { Broker, queue } from 'leveret';
import { z } from 'zod';

const numbers = queue('numbers', z.object({ n: z.number() }));
const [what = '', url = ''] = process.argv.slice(2);

/** A broker with a producer, a consumer and a loop at work. */
async function work(broker: Broker) {
  const producer = broker.producer(numbers);
  await broker.consumer(numbers, () => undefined).ready;
  void (async () => {
    for await (const message of broker.consumer(numbers)) message.ack();
  })();
  await producer.send({ n: 1 });
  return producer;
}

const programs: Record<string, () => Promise<unknown>> = {
  async closed() {
    const broker = await Broker.connect(url);
    await work(broker);
    return broker.close();
  },
  async 'never connected'() {
    const broker = new Broker(url);
    broker.producer(numbers);
  },
  async 'failed to start'() {
    return Broker.connect(url, { startupTimeoutMs: 300 }).catch(({ code }) => code as unknown);
  },
  /** Returns as soon as a send finds that nothing comes back any more. */
  async 'out of reach'() {
    const broker = await Broker.connect(url);
    const producer = await work(broker);
    console.log('ready');
    const codes = new Set<unknown>();
    while (!codes.has('TIMEOUT')) {
      await producer.send({ n: 2 }, { timeoutMs: 200 }).catch(({ code }) => codes.add(code));
    }
    return broker.close({ timeoutMs: 100 });
  },
};

console.log('done', JSON.stringify(await programs[what]?.()));
