import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { options } from '../programs/child.js';
import type { SendingClient } from '../programs/clients.js';

/** Broken on purpose: takes a message for sent when it is written. The harness has to find that out. */
export async function senderWithoutConfirms(url: string): Promise<SendingClient> {
  let connection: ChannelModel | undefined;
  let channel: Channel | undefined;
  let isClosing = false;

  const open = async () => {
    const opened = await connect(url, {
      timeout: 5_000,
      clientProperties: { connection_name: `${options.name} (publish)` },
    });
    opened.on('error', () => undefined);
    opened.on('close', () => {
      channel = undefined;
      if (!isClosing) void reopen();
    });
    connection = opened;
    channel = await opened.createChannel();
    channel.on('error', () => undefined);
  };
  const reopen = async () => {
    while (!isClosing && channel === undefined) {
      await delay(100);
      await open().catch(() => undefined);
    }
  };

  await open();
  return {
    async send(target, body) {
      const messageId = randomUUID();
      if (channel === undefined) throw new Error('not connected');
      channel.publish('', target, Buffer.from(JSON.stringify(body)), {
        messageId,
        persistent: true,
        contentType: 'application/json',
      });
      return { messageId };
    },
    pending: 0,
    ask: async () => undefined,
    async close() {
      isClosing = true;
      await connection?.close().catch(() => undefined);
      return { clean: true };
    },
  };
}
