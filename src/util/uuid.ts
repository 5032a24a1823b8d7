import { randomFillSync } from 'node:crypto';

const UUID_BYTES = 16;

/** Random bytes, fetched many at a time: each call to the system costs more than the bytes. */
const random = Buffer.alloc(256 * UUID_BYTES);
let next = random.length;

const DIGITS = Buffer.from('0123456789abcdef');
const text = Buffer.from('xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx');

/**
 * A random UUID (RFC 9562, version 4). Node's `randomUUID` joins it from twenty strings: a fifth of the memory that a send leaves to
 * be collected.
 */
export function uuid(): string {
  if (next === random.length) {
    randomFillSync(random);
    next = 0;
  }
  random[next + 6] = ((random[next + 6] as number) & 0x0f) | 0x40;
  random[next + 8] = ((random[next + 8] as number) & 0x3f) | 0x80;
  for (let to = 0; to < text.length; to++) {
    if (to === 8 || to === 13 || to === 18 || to === 23) continue;
    const byte = random[next++] as number;
    text[to++] = DIGITS[byte >> 4] as number;
    text[to] = DIGITS[byte & 0x0f] as number;
  }
  return text.toString('latin1');
}
