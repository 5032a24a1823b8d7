import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../src/contracts/exchange.js';
import { encodeEnvelope, toMessage } from '../../../src/outbox/envelope.js';
import { outgoingOf } from '../../../src/producer/outgoing-message.js';

const contract = exchange('orders', z.string());

describe('the envelope of a row', () => {
  it.each([
    ['every option', { messageId: 'm1', correlationId: 'c', priority: 3, ttlMs: 500, mandatory: true }],
    [
      'headers of every type',
      { headers: { text: 'a', bytes: Buffer.from('b'), table: { list: [1, null] } } },
    ],
    ['no option but the routing key', {}],
  ])('gives back the message that a producer would publish, with %s', (_, options) => {
    const message = outgoingOf(contract, 'm1', { routingKey: 'order.placed', ...options }, 1_000);
    const content = Buffer.from('body');

    expect(toMessage(encodeEnvelope(message), 'm1', content)).toEqual({ ...message, content });
  });

  it('repeats neither the id nor the body of its row', () => {
    const message = outgoingOf(contract, 'the id', { routingKey: 'order.placed' }, 1_000);
    message.content = Buffer.from('the body');

    expect(encodeEnvelope(message)).not.toMatch(/the (?:id|body)/);
  });
});
