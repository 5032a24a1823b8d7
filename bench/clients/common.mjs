// What all clients share: the contract, the bodies, and the order in which things happen.
import { z } from 'zod';

export const Order = z.object({ id: z.string(), customer: z.string(), total: z.number(), paid: z.boolean() });

/** @param {number} n @param {string} pad - makes the body longer */
export const bodyOf = (n, pad = '') => ({
  id: `SO-${n}`,
  customer: `ada@example.com${pad}`,
  total: n / 100,
  paid: n % 2 === 0,
});

/** The arguments of a durable queue of this type, as every client declares it. */
export const argumentsOf = (type) =>
  type === 'quorum' ? { 'x-queue-type': 'quorum', 'x-delivery-limit': 20 } : { 'x-queue-type': 'classic' };

/** Keeps so many sends unconfirmed until this many are confirmed. */
export function pump(send, count, window, pad) {
  return new Promise((resolve, reject) => {
    let started = 0;
    let settled = 0;
    const next = () => {
      if (started === count) return;
      send(bodyOf(++started, pad)).then(() => {
        if (++settled === count) resolve();
        else next();
      }, reject);
    };
    for (let n = 0; n < Math.min(window, count); n++) next();
  });
}
