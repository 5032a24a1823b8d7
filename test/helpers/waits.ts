import { setTimeout as delay } from 'node:timers/promises';

/**
 * Waits for something that must not happen, in real time. There is no condition to wait for: the longer the wait, the surer the
 * test.
 *
 * @param reason - what would happen within this time
 */
export function absenceOf(ms: number, reason: string): Promise<void> {
  if (reason === '') throw new Error('A wait for nothing has a reason.');
  return delay(ms);
}

/**
 * Lets real time pass that is a part of what is tested, such as the time to live of a queue.
 *
 * @param reason - what the time is for
 */
export function passing(ms: number, reason: string): Promise<void> {
  if (reason === '') throw new Error('A wait for time to pass has a reason.');
  return delay(ms);
}
