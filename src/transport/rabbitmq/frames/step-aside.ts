import type { ChannelModel } from 'amqplib';
import { OwnFrames } from './own-frames.js';

/** Set, everything goes through amqplib's public API: to test that way, and to tell whose fault something is. */
const SWITCH = 'LEVERET_AMQPLIB_FRAMES';

let hasWarned = false;

/** Our own frames over an open connection. Undefined where they step aside, which is told once. */
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
