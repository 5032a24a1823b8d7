import { Broker, procedure, queue, type SendOptions } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const notes = queue('notes', z.object({ text: z.string() }), { type: 'classic', deadLetter: false });
const echo = procedure('echo', { request: z.string(), response: z.string() });

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('It was sent.'),
    (error: unknown) => error,
  );

/** What the server, or amqplib, would answer with the end of the channel or of the connection. */
const refused: readonly (readonly [
  what: string,
  text: string,
  options: object,
  code: string,
  reason: RegExp,
])[] = [
  [
    'Infinity in a header',
    'a',
    { headers: { ratio: Infinity } },
    'INVALID_OPTION',
    /'ratio'.*a finite number/,
  ],
  [
    'NaN deep inside of a header',
    'a',
    { headers: { a: { b: [1, Number.NaN] } } },
    'INVALID_OPTION',
    /'a\.b\.1'.*a finite number/,
  ],
  [
    'headers larger than a frame',
    'a',
    { headers: { big: 'x'.repeat(200_000) } },
    'MESSAGE_TOO_LARGE',
    /headers/,
  ],
  [
    'a header with a name of 300 bytes',
    'a',
    { headers: { ['n'.repeat(300)]: 1 } },
    'INVALID_OPTION',
    /255 bytes/,
  ],
  ['a CC header that is no list', 'a', { headers: { CC: 'audit' } }, 'INVALID_OPTION', /'CC'.*array/],
  [
    'an id of 300 characters',
    'a',
    { messageId: 'x'.repeat(300) },
    'INVALID_OPTION',
    /'messageId'.*255 bytes/,
  ],
  [
    'a correlation id of 300 bytes',
    'a',
    { correlationId: 'ü'.repeat(150) },
    'INVALID_OPTION',
    /'correlationId'.*255 bytes/,
  ],
  ['the name of another user', 'a', { userId: 'admin' }, 'INVALID_OPTION', /'userId'/],
  ['a priority of 300', 'a', { priority: 300 }, 'INVALID_OPTION', /'priority'.*255/],
  ['an expiration of no length', 'a', { ttlMs: -1 }, 'INVALID_OPTION', /'ttlMs'/],
  ['a body over the limit', 'x'.repeat(5_000), {}, 'MESSAGE_TOO_LARGE', /5\d\d\d bytes.*4000/],
];

describe('a send that is refused in the middle of others', () => {
  it.each(refused)(
    'for %s is named, and costs neither them nor the connection anything',
    async (_what, text, options, code, reason) => {
      await using vhost = await createVhost();
      await using proxy = await TcpProxy.listen(vhost.url);
      const wire = WireLog.of(proxy);
      await using broker = await Broker.connect(proxy.via(vhost.url), { maxBodyBytes: 4_000 });
      const got: string[] = [];
      await broker.consumer(notes, ({ body }) => void got.push(body.text)).ready;
      const producer = broker.producer(notes);
      const before = producer.send({ text: 'before' });
      const error = failure(producer.send({ text }, options as SendOptions));
      const after = producer.send({ text: 'after' });
      expect(await error).toMatchObject({ code, message: expect.stringMatching(reason), retryable: false });
      await Promise.all([before, after]);
      await expect.poll(() => got).toEqual(['before', 'after']);
      expect(wire.of('basic.publish', 'to-server')).toHaveLength(2);
      expect(wire.of('connection.close')).toEqual([]);
      expect(wire.of('channel.close', 'to-client')).toEqual([]);
      expect(proxy.accepted).toBe(2);
    },
  );

  it.each([
    ['Infinity in a header', { headers: { ratio: Infinity } }, /'ratio'.*a finite number/],
    ['an id of 300 characters', { correlationId: 'x'.repeat(300) }, /'correlationId'.*255 bytes/],
    ['the name of another user', { userId: 'admin' }, /'userId'/],
  ])('is a request with %s', async (_what, options, reason) => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    await broker.responder(echo, ({ body }) => body).ready;
    const before = broker.request(echo, 'before');
    const error = failure(broker.request(echo, 'never', options as object));
    const after = broker.request(echo, 'after');
    expect(await error).toMatchObject({ code: 'INVALID_OPTION', message: expect.stringMatching(reason) });
    expect(await Promise.all([before, after])).toEqual(['before', 'after']);
    expect(proxy.accepted).toBe(2);
  });
});
