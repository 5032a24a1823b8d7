import type { ChannelModel } from 'amqplib';
import { OwnFrames } from './own-frames.js';

/** If set, everything goes through amqplib's public API: to test that path, and to locate the cause of a fault. */
const SWITCH = 'LEVERET_AMQPLIB_FRAMES';

let hasWarned = false;

/** Our own frames over an open connection. Undefined if they cannot be used, which is reported once. */
export function framesOver(model: ChannelModel): OwnFrames | undefined {
  if (process.env[SWITCH] !== undefined) return undefined;
  const frames = OwnFrames.over(model);
  if (typeof frames !== 'string') return frames;
  if (!hasWarned) {
    hasWarned = true;
    process.emitWarning(
      `This version of amqplib has no '${frames}' as Leveret knows it. Messages travel through its public API, which is slower`,
      { code: 'LEVERET_AMQPLIB' },
    );
  }
  return undefined;
}
