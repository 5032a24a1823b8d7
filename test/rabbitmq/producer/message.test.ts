import { Broker, exchange, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { otherClient } from '../../helpers/other-client.js';
import { createVhost } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const note = z.object({ text: z.string() });
const notes = queue('notes', note, { type: 'classic', deadLetter: false });

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** Bit 0 of the last octet of `basic.publish`: ticket (2), exchange, routing key, then the bits mandatory and immediate. */
const mandatoryBits = (wire: WireLog) =>
  wire.of('basic.publish').map(({ payload }) => (payload.at(-1) ?? 0) & 1);

describe('a message on the wire', () => {
  it('is persistent JSON with an id, a time and nothing more', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const before = Math.floor(Date.now() / 1_000);
    const receipt = await broker.producer(notes).send({ text: 'grüß dich 🐇' });
    const { properties, content, fields } = await other.take('notes');
    expect(content.toString()).toBe('{"text":"grüß dich 🐇"}');
    const { timestamp, messageId, ...others } = properties;
    expect(messageId).toMatch(uuid);
    expect(receipt).toEqual({ messageId });
    expect(timestamp).toBeGreaterThanOrEqual(before);
    expect(timestamp).toBeLessThanOrEqual(Date.now() / 1_000);
    expect(Object.fromEntries(Object.entries(others).filter(([, value]) => value !== undefined))).toEqual({
      contentType: 'application/json',
      deliveryMode: 2,
      headers: {},
    });
    expect(fields).toMatchObject({ exchange: '', routingKey: 'notes', redelivered: false });
  });

  it('is mandatory to a queue, and to an exchange only when asked for', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    const wire = WireLog.of(proxy);
    await using broker = await Broker.connect(proxy.via(vhost.url));
    const events = exchange('events', note, { type: 'fanout' });
    await broker.declare(events.queue('bound', { type: 'classic', deadLetter: false }));
    await broker.producer(notes).send({ text: 'to a queue' });
    await broker.producer(notes).send({ text: 'to a queue' }, { mandatory: false });
    await broker.producer(events).send({ text: 'to an exchange' });
    await broker.producer(events).send({ text: 'to an exchange' }, { mandatory: true });
    expect(mandatoryBits(wire)).toEqual([1, 0, 0, 1]);
  });

  it('has what the options of its send say', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const headers = {
      text: 'ä',
      whole: 42,
      large: 2 ** 40,
      broken: 1.5,
      negative: -7,
      yes: true,
      nothing: null,
      bytes: new Uint8Array([0, 255]),
      list: [1, 'two', [3]],
      nested: { deep: { er: 'x' } },
    };
    const producer = broker.producer(notes);
    const sent = producer.send(
      { text: 'hello' },
      {
        messageId: 'order-1',
        correlationId: 'request-9',
        headers,
        priority: 3,
        ttlMs: 60_000,
        mandatory: false,
        timeoutMs: 5_000,
        signal: AbortSignal.timeout(5_000),
      },
    );
    // What the caller does with its object afterwards is its own affair.
    headers.text = 'changed';
    expect(await sent).toEqual({ messageId: 'order-1' });
    const { properties } = await other.take('notes');
    expect(properties).toMatchObject({
      messageId: 'order-1',
      correlationId: 'request-9',
      priority: 3,
      expiration: '60000',
      headers: { ...headers, text: 'ä', bytes: Buffer.from([0, 255]) },
    });
  });

  it('is text or bytes when the contract says so', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const plain = { type: 'classic', deadLetter: false } as const;
    await broker.producer(queue('texts', z.string().max(50), { ...plain, codec: 'text' })).send('"ä" 🐇');
    const text = await other.take('texts');
    expect(text.content.toString()).toBe('"ä" 🐇');
    expect(text.properties.contentType).toBe('text/plain');

    const bytes = queue('bytes', z.instanceof(Uint8Array), { ...plain, codec: 'bytes' });
    const body = new Uint8Array([0, 1, 254, 255]);
    const sent = broker.producer(bytes).send(body);
    body.fill(7);
    await sent;
    const taken = await other.take('bytes');
    expect([...taken.content]).toEqual([0, 1, 254, 255]);
    expect(taken.properties.contentType).toBe('application/octet-stream');
  });

  it('carries what was given to send, not what the schema makes of it', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    await using other = await otherClient(vhost.url);
    const when = z.object({
      at: z.iso.datetime().transform((text) => new Date(text)),
      n: z.number().default(7),
    });
    const dated = queue('dated', when, { type: 'classic', deadLetter: false });
    await broker.producer(dated).send({ at: '2026-01-02T03:04:05Z' });
    const { content, properties } = await other.take('dated');
    expect(JSON.parse(content.toString())).toEqual({ at: '2026-01-02T03:04:05Z' });

    await other.put('dated', content, properties);
    const bodies: unknown[] = [];
    await broker.consumer(dated, ({ body }) => void bodies.push(body)).ready;
    await expect.poll(() => bodies).toEqual([{ at: new Date('2026-01-02T03:04:05Z'), n: 7 }]);
  });

  it('passes a schema that takes its time', async () => {
    await using vhost = await createVhost();
    await using broker = await Broker.connect(vhost.url);
    const slow = z.string().refine(async (text) => {
      await new Promise((resolve) => setImmediate(resolve));
      return text !== 'bad';
    }, 'not this one');
    const slowly = queue('slowly', slow, { type: 'classic', deadLetter: false });
    const got: string[] = [];
    await broker.consumer(slowly, ({ body }) => void got.push(body)).ready;
    const producer = broker.producer(slowly);
    const bad = producer.send('bad').catch((error: unknown) => error);
    expect(producer.pending).toBe(1);
    await producer.send('good');
    expect(await bad).toMatchObject({ code: 'INVALID_BODY', issues: [{ message: 'not this one' }] });
    await expect.poll(() => got).toEqual(['good']);
  });
});
