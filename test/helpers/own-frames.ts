import { it } from 'vitest';

/** A case that only frames of our own can pass: amqplib closes the connection over properties that it cannot read. */
export const itWithOwnFrames = it.skipIf(process.env.LEVERET_AMQPLIB_FRAMES !== undefined);
