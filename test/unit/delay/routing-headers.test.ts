import { describe, expect, it } from 'vitest';
import { unitsOf } from '../../../src/delay/levels.js';
import { delayed, sentTo } from '../../../src/delay/routing-headers.js';
import { ownHeaders } from '../../../src/messages/headers.js';
import type { OutgoingMessage } from '../../../src/transport/port.js';

const toQueue: OutgoingMessage = {
  exchange: '',
  routingKey: 'acme.sales',
  mandatory: false,
  content: Buffer.from('a'),
  properties: { messageId: 'm', headers: { tenant: 'a', 'leveret-delay-to-exchange': 'forged' } },
};

const afterDelay = (headers: Readonly<Record<string, unknown>> | undefined, routingKey: string) =>
  sentTo({ exchange: 'leveret.delay.deliver', routingKey, properties: { headers } });

describe('a delayed message', () => {
  it('for a queue goes to its highest level, with a digit for each level from there down', () => {
    expect(delayed(toQueue, unitsOf(1_300))).toEqual({
      exchange: 'leveret.delay.1s',
      routingKey: 'acme.sales',
      mandatory: true,
      content: toQueue.content,
      properties: {
        messageId: 'm',
        headers: {
          tenant: 'a',
          'leveret-delay-to-queue': 'acme.sales',
          'leveret-delay-1s': 1,
          'leveret-delay-250ms': 1,
          'leveret-delay-63ms': 1,
        },
      },
    });
  });

  it('for an exchange keeps its routing key', () => {
    const { exchange, routingKey, properties } = delayed(
      { ...toQueue, exchange: 'orders', routingKey: 'eu.de', properties: {} },
      unitsOf(8_000),
    );
    expect({ exchange, routingKey }).toEqual({ exchange: 'leveret.delay.4s', routingKey: 'eu.de' });
    expect(properties.headers).toEqual({
      'leveret-delay-to-exchange': 'orders',
      'leveret-delay-4s': 2,
      'leveret-delay-1s': 0,
      'leveret-delay-250ms': 0,
      'leveret-delay-63ms': 0,
    });
  });

  it.each([
    [undefined, 1],
    [4, 1],
    [5, 11],
    [255, 11],
  ])('of the priority %s waits beside its like only', (priority, expected) => {
    const { properties } = delayed({ ...toQueue, properties: { priority } }, 1);
    expect(properties.headers).toMatchObject({ 'leveret-delay-63ms': expected });
  });

  it('tells in the end where it was sent to, and nothing of the delay', () => {
    const queued = delayed(toQueue, 5);
    expect(afterDelay(queued.properties.headers, 'acme.sales')).toEqual({
      exchange: '',
      routingKey: 'acme.sales',
    });
    expect({ ...ownHeaders(queued.properties.headers) }).toEqual({ tenant: 'a' });
    const event = delayed({ ...toQueue, exchange: 'orders', routingKey: 'eu.de' }, 5);
    expect(afterDelay(event.properties.headers, 'eu.de')).toEqual({
      exchange: 'orders',
      routingKey: 'eu.de',
    });
  });

  it('is not taken for one by its headers alone', () => {
    const forged = { 'leveret-delay-exchange': 'forged', 'leveret-exchange': 'forged' };
    const origin = sentTo({ exchange: 'orders', routingKey: 'k', properties: { headers: forged } });
    expect(origin).toEqual({ exchange: 'orders', routingKey: 'k' });
  });
});
