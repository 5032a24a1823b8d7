import { exchange } from 'leveret';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { BrokerSender } from '../../../src/outbox/broker-sender.js';
import type { Connection } from '../../../src/transport/connection/connection.js';
import { FakeClock } from '../support/fake-clock.js';

const news = exchange('news', z.object({ n: z.number() }));

it('holds a batch up for a second, and after ten lets the rows of an exchange fail whose consumers are not there', async () => {
  const clock = new FakeClock();
  const sender = new BrokerSender(
    {
      connection: {} as Connection,
      clock,
      setUpOn: () => new Promise(() => {}),
      onRestored: async () => {},
    },
    100,
  );
  const message = {
    exchange: 'news',
    routingKey: '',
    mandatory: false,
    properties: { messageId: 'm' },
    content: Buffer.from('{}'),
  };
  const options = { dueInMs: undefined, timeoutMs: 10_000, signal: new AbortController().signal };
  const outcomes: string[] = [];
  for (let second = 0; second < 12; second++) {
    const sending = sender
      .send(news, message, options)
      .catch(({ code }: { code: string }) => outcomes.push(code));
    clock.advance(1_000);
    await sending;
  }
  expect(outcomes).toEqual([...Array(9).fill('CONNECTION_FAILED'), ...Array(3).fill('TIMEOUT')]);
});
