import { type ChannelModel, type ConfirmChannel, connect, type GetMessage, type Message } from 'amqplib';
import { expect } from 'vitest';

/** A program on the same server that uses bare amqplib. */
export interface OtherClient extends AsyncDisposable {
  readonly connection: ChannelModel;
  readonly channel: ConfirmChannel;
  /** Another channel, for what may be refused: a refusal closes the channel. */
  openChannel(): Promise<ConfirmChannel>;
  /** Takes the next message out of a queue; waits until there is one. */
  take(queue: string): Promise<GetMessage>;
  /** Takes everything out of a queue, and waits until that is so many at least. */
  takeAll(queue: string, count: number): Promise<Message[]>;
  /** Puts a message into a queue and waits for its confirm. */
  put(queue: string, content: Buffer | string | object, properties?: object): Promise<void>;
}

/** Connects it. Disposing closes its connection. */
export async function otherClient(url: string): Promise<OtherClient> {
  const connection = await connect(url);
  connection.on('error', () => undefined);
  const openChannel = async () => {
    const opened = await connection.createConfirmChannel();
    opened.on('error', () => undefined);
    return opened;
  };
  const channel = await openChannel();
  const get = (queue: string) => channel.get(queue, { noAck: true });
  const takeAll = async (queue: string, count: number) => {
    const taken: Message[] = [];
    const take = (message: Message | null) => void (message && taken.push(message));
    const { consumerTag } = await channel.consume(queue, take, { noAck: true });
    const isThere = async () => taken.length >= count && (await channel.checkQueue(queue)).messageCount === 0;
    await expect.poll(isThere, { timeout: 10_000, interval: 20 }).toBe(true);
    // Its answer comes after every delivery.
    await channel.cancel(consumerTag);
    return taken;
  };
  return {
    connection,
    channel,
    openChannel,
    takeAll,
    async take(queue) {
      let got: GetMessage | false = false;
      const takeIt = async () => {
        got = await get(queue);
        return got;
      };
      await expect.poll(takeIt, { timeout: 10_000, interval: 20 }).toBeTruthy();
      return got as unknown as GetMessage;
    },
    async put(queue, content, properties) {
      const bytes = Buffer.isBuffer(content)
        ? content
        : Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
      channel.sendToQueue(queue, bytes, { persistent: true, ...properties });
      await channel.waitForConfirms();
    },
    async [Symbol.asyncDispose]() {
      await connection.close().catch(() => undefined);
    },
  };
}
