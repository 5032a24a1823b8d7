import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DeliveryRing } from '../../../../src/consumer/session/delivery-ring.js';
import type { Delivery } from '../../../../src/transport/port.js';

const delivery = (deliveryTag: number) => ({ deliveryTag }) as Delivery;

describe('the ring of deliveries', () => {
  it('holds what a map by tag would hold, whatever settles first and however long one stays', () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.nat(400)), { maxLength: 600 }), (steps) => {
        const ring = new DeliveryRing(10);
        const map = new Map<number, Delivery>();
        let tag = 0;
        for (const settled of steps) {
          if (settled === null) {
            const next = delivery(++tag);
            ring.add(next);
            map.set(tag, next);
          } else {
            ring.delete(settled);
            map.delete(settled);
          }
          expect(ring.size).toBe(map.size);
        }
        for (let at = 0; at <= tag; at++) expect(ring.get(at)).toBe(map.get(at));
        expect(new Set(ring)).toEqual(new Set(map.values()));
      }),
    );
  });

  it('keeps one that is never settled, however many come behind it', () => {
    const ring = new DeliveryRing(2);
    const first = delivery(1);
    ring.add(first);
    for (let tag = 2; tag < 1_000; tag++) {
      ring.add(delivery(tag));
      ring.delete(tag);
    }
    expect(ring.get(1)).toBe(first);
    expect([...ring]).toEqual([first]);
  });
});
