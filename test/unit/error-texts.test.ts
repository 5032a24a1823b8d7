import { Broker, procedure, queue, RemoteError } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const jobs = queue('jobs', z.object({ file: z.string() }));

describe('the text of an error', () => {
  it('names a host that is given twice with different credentials', async () => {
    const urls = ['amqp://a:canary1@rabbit', 'amqp://b:canary2@rabbit'];
    const error: Error = await Broker.connect(urls).catch((reason) => reason);
    expect(error).toMatchObject({
      code: 'INVALID_URL',
      message: expect.stringContaining('the list has amqp://rabbit:5672 twice, with different credentials'),
    });
    expect(error.message).not.toContain('canary');
  });

  it('says how long the name of a connection may be', () => {
    expect(() => new Broker('amqp://rabbit', { name: 'x'.repeat(10_000) })).toThrow(
      /option 'name' must be a string of at most 1000 bytes/,
    );
  });

  it.each([
    ['a text', 'onJob', "'onJob'"],
    ['null', null, 'null'],
    ['a number', 5, '5'],
  ])(
    'says what a consumer expects as its second argument, and that it got %s',
    async (_what, given, shown) => {
      await using broker = await Broker.connect('memory:');
      expect(() => broker.consumer(jobs, given as never)).toThrow(
        `expected a handler, or options for a consumer that a loop reads, as the second argument; got ${shown}`,
      );
    },
  );

  it('names the procedure that failed', async () => {
    await using broker = await Broker.connect('memory:');
    const quote = procedure('quote', { request: z.string(), response: z.number() });
    await broker.responder(quote, () => {
      throw new Error('no price today');
    }).ready;
    const error: unknown = await broker.request(quote, 'A1').catch((reason) => reason);
    expect(error).toBeInstanceOf(RemoteError);
    expect((error as Error).message).toMatch(/'quote'.*no price today/s);
  });
});
