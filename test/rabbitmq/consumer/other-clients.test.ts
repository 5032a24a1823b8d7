import { Broker, type Message, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost } from '../../helpers/server/index.js';

const greetings = queue('greetings', z.object({ text: z.string() }), {
  type: 'classic',
  retry: { attempts: 1 },
});
const body = { text: 'hello' };

/** Sends one message with bare amqplib, and hands over what the handler got. */
async function receive(
  content: Buffer | string | object,
  properties: object,
  look: (message: Message<{ text: string }>) => void | Promise<void>,
): Promise<void> {
  await using vhost = await createVhost();
  await using other = await otherClient(vhost.url);
  await using broker = await Broker.connect(vhost.url);
  let failure: unknown;
  let isHandled = false;
  await broker.consumer(greetings, async (message) => {
    try {
      await look(message);
    } catch (error) {
      failure = error;
    }
    isHandled = true;
  }).ready;
  await other.put('greetings', content, properties);
  await expect.poll(() => isHandled).toBe(true);
  if (failure) throw failure;
}

describe('a message of another client', () => {
  it('without any property is taken for what the contract says', () =>
    receive(body, {}, (message) => {
      expect(message.body).toEqual(body);
      expect(message).toMatchObject({
        id: undefined,
        correlationId: undefined,
        timestamp: undefined,
        attempt: 1,
      });
      expect({ ...message.headers }).toEqual({});
    }));

  it.each([
    ['application/json; charset=UTF-8', undefined],
    ['application/vnd.acme+json', undefined],
    ['text/json', undefined],
    ['APPLICATION/JSON', 'utf-8'],
    ['', ''],
  ])('may call JSON %j, with the encoding %j', (contentType, contentEncoding) =>
    receive(body, { contentType, contentEncoding }, (message) => expect(message.body).toEqual(body)),
  );

  it('may begin with a byte order mark', () =>
    receive(Buffer.from('\ufeff{"text":"hello"}'), {}, (message) => expect(message.body).toEqual(body)));

  it('keeps its headers of every type', () => {
    const headers = {
      text: 'ä',
      whole: 42,
      large: 2 ** 40,
      fraction: 1.5,
      yes: true,
      nothing: null,
      list: [1, ['two', { three: 3 }]],
      table: { nested: { deep: 'x' } },
    };
    return receive(
      body,
      {
        headers: {
          ...headers,
          bytes: Buffer.from([0, 255]),
          when: { '!': 'timestamp', value: 1_700_000_000 },
        },
      },
      (message) => {
        const { bytes, when, ...others } = message.headers;
        expect(others).toEqual(headers);
        expect(Buffer.from(bytes as Uint8Array)).toEqual(Buffer.from([0, 255]));
        expect(JSON.stringify(when)).toContain('1700000000');
      },
    );
  });

  it('says when it was sent', () =>
    receive(body, { timestamp: 1_700_000_000, messageId: 'm-1', correlationId: 'c-1' }, (message) => {
      expect(message.timestamp).toEqual(new Date(1_700_000_000_000));
      expect(message).toMatchObject({ id: 'm-1', correlationId: 'c-1' });
    }));

  it('cannot reach a prototype with a header', () => {
    const headers = JSON.parse(
      '{"__proto__": {"admin": true}, "constructor": "x", "toString": "y", "fine": 1}',
    );
    return receive(body, { headers }, (message) => {
      expect((message.headers as { admin?: boolean }).admin).toBeUndefined();
      expect(Object.getPrototypeOf(message.headers)).toBeNull();
      expect(message.headers.fine).toBe(1);
      expect(({} as { admin?: boolean }).admin).toBeUndefined();
    });
  });

  it('does not get its attempt from headers that it brought along', () =>
    receive(body, { headers: { 'x-delivery-count': 7, 'x-acquired-count': 8 } }, (message) => {
      expect(message.attempt).toBe(1);
      expect({ ...message.headers }).toEqual({});
    }));

  it('whose headers cannot be copied is dead-lettered without them, and says so', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    let runs = 0;
    await broker.consumer(greetings, () => {
      runs++;
      throw new Error('for good');
    }).ready;
    await other.put('greetings', body, { messageId: 'large', headers: { a: 'x'.repeat(63_000) } });
    const dead = await other.take('greetings.dead');
    expect(dead.properties).toMatchObject({
      messageId: 'large',
      headers: { 'leveret-error': 'Error: for good', 'leveret-headers-dropped': true },
    });
    expect(dead.properties.headers).not.toHaveProperty('a');
    expect(dead.content.toString()).toBe('{"text":"hello"}');
    expect(runs).toBe(1);
  });

  it('is not routed again by the CC headers and server headers of its dead letter', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    await other.channel.assertQueue('copies');
    await broker.consumer(greetings, () => {
      throw new Error('for good');
    }).ready;
    await other.put('greetings', body, { headers: { CC: ['copies'], 'x-mine': 'all', own: 1 } });
    await other.take('copies');
    const dead = await other.take('greetings.dead');
    const { CC, 'x-mine': mine, own } = dead.properties.headers ?? {};
    expect({ CC, mine, own }).toEqual({ CC: undefined, mine: 'all', own: 1 });
    expect((await other.channel.checkQueue('copies')).messageCount).toBe(0);
  });

  it('that has no id has none as a dead letter either', async () => {
    await using vhost = await createVhost();
    await using other = await otherClient(vhost.url);
    await using broker = await Broker.connect(vhost.url);
    await broker.consumer(greetings, () => {
      throw new Error('for good');
    }).ready;
    await other.put('greetings', body);
    expect((await other.take('greetings.dead')).properties.messageId).toBeUndefined();
  });
});
