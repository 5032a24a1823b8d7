import { setTimeout as pause } from 'node:timers/promises';

/** Resolves as soon as the condition holds. An example has to end some time; a real consumer runs until it is closed. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { timeoutMs = 30_000 } = {},
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Still not the case after ${timeoutMs} ms: ${condition}`);
    await pause(10);
  }
}
