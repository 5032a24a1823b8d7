import { setTimeout as delay } from 'node:timers/promises';
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';
import { options } from '../programs/child.js';
import type { ConsumingClient, Handler } from '../programs/clients.js';
import type { Body } from '../programs/workload.js';

/** One mistake each, as they were found in real clients. The harness has to find them out. */
export interface Flaw {
  /** Acknowledges a message before its handler has ended. */
  readonly acksEarly?: boolean;
  /** Acknowledges what came on a channel that is gone on the one that took its place. */
  readonly acksOnTheNewChannel?: boolean;
  /** Dials again when nothing comes any more, and leaves the old socket as it is. */
  readonly leavesSockets?: boolean;
}

const PREFETCH = 50;
const QUEUE = 'work';
/** How long nothing may come before the connection is given up. */
const SILENCE_MS = 1_500;

/** Consumes with bare amqplib, and with a flaw. */
export async function brokenConsumer(url: string, handle: Handler, flaw: Flaw): Promise<ConsumingClient> {
  let connection: ChannelModel | undefined;
  let current: Channel | undefined;
  let lastAt = Date.now();
  let isClosing = false;
  let isOpening = false;

  const settle = (channel: Channel, message: ConsumeMessage) => {
    try {
      if (flaw.acksOnTheNewChannel) current?.ack(message);
      else channel.ack(message);
    } catch {
      // The channel is gone.
    }
  };
  const receive = async (channel: Channel, message: ConsumeMessage | null) => {
    lastAt = Date.now();
    if (!message) return;
    if (flaw.acksEarly) settle(channel, message);
    const { redelivered } = message.fields;
    const id = message.properties.messageId as string | undefined;
    const body = JSON.parse(message.content.toString()) as Body;
    await handle({ body, id, attempt: redelivered ? 2 : 1, redelivered });
    if (!flaw.acksEarly) settle(channel, message);
  };
  const open = async () => {
    const opened = await connect(url, {
      timeout: 5_000,
      clientProperties: { connection_name: `${options.name} (consume)` },
    });
    opened.on('error', () => undefined);
    opened.on('close', () => {
      if (connection === opened) void reopen();
    });
    const channel = await opened.createChannel();
    channel.on('error', () => {
      if (current === channel) void reopen();
    });
    await channel.prefetch(PREFETCH);
    connection = opened;
    current = channel;
    lastAt = Date.now();
    await channel.consume(QUEUE, (message) => void receive(channel, message));
  };
  const reopen = async () => {
    if (isOpening || isClosing) return;
    isOpening = true;
    if (!flaw.leavesSockets) void connection?.close().catch(() => undefined);
    connection = undefined;
    while (!isClosing) {
      try {
        await open();
        break;
      } catch {
        await delay(100);
      }
    }
    isOpening = false;
  };

  await open();
  const watch = setInterval(() => {
    if (flaw.leavesSockets && Date.now() - lastAt > SILENCE_MS) void reopen();
  }, 200);
  return {
    async close() {
      isClosing = true;
      clearInterval(watch);
      await connection?.close().catch(() => undefined);
      return { clean: true };
    },
  };
}
