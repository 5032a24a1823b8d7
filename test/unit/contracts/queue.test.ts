import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../src/contracts/exchange.js';
import { isExchange, isQueue, isSubscription } from '../../../src/contracts/guards.js';
import { procedure } from '../../../src/contracts/procedure.js';
import { queue } from '../../../src/contracts/queue.js';
import type { QueueContract } from '../../../src/contracts/types.js';
import { ConfigurationError } from '../../../src/errors.js';

const schema = z.object({ id: z.string() });

/** As JavaScript calls it. */
const make = (options?: unknown, name: unknown = 'q', of: unknown = schema) =>
  (queue as (...args: unknown[]) => QueueContract)(name, of, options);

const refused = (option: string, message = /./) =>
  expect.objectContaining({ code: 'INVALID_OPTION', option, message: expect.stringMatching(message) });

describe('queue()', () => {
  it('is a replicated, durable queue with a dead-letter queue unless told otherwise', () => {
    expect(queue('emails', schema)).toEqual({
      kind: 'queue',
      name: 'emails',
      schema,
      type: 'quorum',
      codec: 'json',
      contentTypes: [],
      durable: true,
      exclusive: false,
      autoDelete: false,
      bindings: [],
      retry: {
        attempts: 5,
        initialDelayMs: 1_000,
        factor: 2,
        maxDelayMs: 60_000,
        jitter: true,
        retryIf: undefined,
      },
      deadLetter: 'emails.dead',
      deliveryLimit: 20,
      declare: true,
      arguments: {
        'x-queue-type': 'quorum',
        'x-delivery-limit': 20,
        'x-overflow': 'reject-publish',
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'emails.dead',
        'x-dead-letter-strategy': 'at-least-once',
      },
    });
  });

  it.each([
    ['what other clients declare', { type: 'classic', durable: false, retry: false, deadLetter: false }, {}],
    [
      'a classic queue',
      { type: 'classic' },
      { 'x-queue-type': 'classic', 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'q.dead' },
    ],
    [
      'a stream',
      { type: 'stream', maxLengthBytes: 5 },
      { 'x-queue-type': 'stream', 'x-max-length-bytes': 5 },
    ],
    ['no dead letters', { deadLetter: false }, { 'x-queue-type': 'quorum', 'x-delivery-limit': 20 }],
    [
      'drop-head, which cannot dead-letter at least once',
      { overflow: 'drop-head', deliveryLimit: 3, deadLetter: 'lost' },
      {
        'x-queue-type': 'quorum',
        'x-delivery-limit': 3,
        'x-overflow': 'drop-head',
        'x-dead-letter-exchange': '',
        'x-dead-letter-routing-key': 'lost',
      },
    ],
    [
      'limits',
      {
        type: 'classic',
        deadLetter: false,
        messageTtlMs: 0,
        expiresMs: 1,
        maxLength: 0,
        maxLengthBytes: 4,
        overflow: 'reject-publish-dlx',
        maxPriority: 5,
        singleActiveConsumer: true,
        arguments: { 'x-queue-mode': 'lazy', 'x-nothing': undefined },
      },
      {
        'x-queue-type': 'classic',
        'x-message-ttl': 0,
        'x-expires': 1,
        'x-max-length': 0,
        'x-max-length-bytes': 4,
        'x-overflow': 'reject-publish-dlx',
        'x-max-priority': 5,
        'x-single-active-consumer': true,
        'x-queue-mode': 'lazy',
      },
    ],
    [
      'an option that is switched off',
      { type: 'classic', deadLetter: false, singleActiveConsumer: false },
      { 'x-queue-type': 'classic' },
    ],
    ['an exclusive queue', { type: 'classic', exclusive: true, deadLetter: false }, {}],
    [
      'a queue that goes with its last consumer',
      { type: 'classic', autoDelete: true, deadLetter: false },
      {},
    ],
  ])('declares exactly the arguments of %s', (_, options, expected) => {
    const { arguments: declared } = make(options);
    expect(declared).toStrictEqual(expected);
    expect(Object.values(declared)).not.toContain(undefined);
  });

  it('runs a handler once with retry: false, and keeps what a policy does not say', () => {
    expect(make({ retry: false }).retry.attempts).toBe(1);
    expect(make({ retry: { attempts: 9, jitter: false } }).retry).toMatchObject({
      attempts: 9,
      jitter: false,
      factor: 2,
      maxDelayMs: 60_000,
    });
  });

  it('takes an option with the value undefined as absent', () => {
    const nothing = { type: undefined, durable: undefined, deadLetter: undefined, retry: undefined };
    expect(make(nothing)).toEqual(queue('q', schema));
  });

  it('cannot be changed', () => {
    const contract = queue('q', schema);
    expect(() => Object.assign(contract, { name: 'other' })).toThrow(TypeError);
    expect(() => Object.assign(contract.arguments, { 'x-custom': 1 })).toThrow(TypeError);
    const bindings = [{ exchange: 'e' }];
    const bound = queue('q', schema, { bindings });
    bindings.push({ exchange: 'later' });
    expect(bound.bindings).toEqual([{ exchange: 'e' }]);
  });

  it.each([
    ['quorum', { exclusive: true }, 'exclusive'],
    ['quorum', { autoDelete: true }, 'autoDelete'],
    ['quorum', { durable: false }, 'durable'],
    ['quorum', { maxPriority: 5 }, 'maxPriority'],
    ['quorum', { overflow: 'reject-publish-dlx' }, 'overflow'],
    ['classic', { deliveryLimit: 5 }, 'deliveryLimit'],
    ['stream', { exclusive: true }, 'exclusive'],
    ['stream', { autoDelete: true }, 'autoDelete'],
    ['stream', { durable: false }, 'durable'],
    ['stream', { maxPriority: 5 }, 'maxPriority'],
    ['stream', { deliveryLimit: 5 }, 'deliveryLimit'],
    ['stream', { maxLength: 5 }, 'maxLength'],
    ['stream', { messageTtlMs: 5 }, 'messageTtlMs'],
    ['stream', { expiresMs: 5 }, 'expiresMs'],
    ['stream', { overflow: 'drop-head' }, 'overflow'],
    ['stream', { singleActiveConsumer: true }, 'singleActiveConsumer'],
  ])('refuses a %s queue with %j', (type, options, option) => {
    expect(() => make({ type, ...options })).toThrow(
      refused(option, new RegExp(`queue\\('q'\\).*${type} queue`)),
    );
    if (type === 'quorum') expect(() => make(options)).toThrow(ConfigurationError);
  });

  it.each([
    [{ typ: 'quorum' }, 'typ', /'type'/],
    [{ messageTtl: 5 }, 'messageTtl', /'messageTtlMs'/],
    [{ type: 'mirrored' }, 'type', /'quorum' or 'classic' or 'stream', got 'mirrored'/],
    [{ codec: 'xml' }, 'codec', /'json' or 'text' or 'bytes'/],
    [{ messageTtlMs: -1 }, 'messageTtlMs', /whole number/],
    [{ messageTtlMs: 1.5 }, 'messageTtlMs', /whole number/],
    [{ expiresMs: 0 }, 'expiresMs', /1 to/],
    [{ maxPriority: 256, type: 'classic' }, 'maxPriority', /1 to 255/],
    [{ deadLetter: '' }, 'deadLetter', /non-empty/],
    [{ deadLetter: 'q' }, 'deadLetter', /its own dead-letter queue/],
    [{ declare: 'active' }, 'declare', /'passive'/],
    [{ retry: true }, 'retry', /got true/],
    [{ retry: { attempts: 0 } }, 'attempts', /1 to 10000/],
    [{ retry: { retries: 5 } }, 'retries', /unknown option/],
    [{ retry: { factor: 0.5 } }, 'factor', /1 to 100/],
    [{ bindings: 'orders' }, 'bindings', /an array/],
    [{ bindings: [{ exchange: 5 }] }, 'exchange', /exchange contract/],
    [{ bindings: [{ exchange: 'e', key: 'k' }] }, 'key', /unknown option/],
    [{ bindings: [{ routingKey: 'k' }] }, 'exchange', /needs an 'exchange'/],
    [{ bindings: [undefined] }, "queue('q'): bindings", /expected an options object/],
    [{ arguments: { 'x-message-ttl': 5 } }, 'arguments', /messageTtlMs/],
    [{ arguments: { 'x-queue-type': 'classic' } }, 'arguments', /type/],
    ['classic', "queue('q')", /expected an options object, got 'classic'/],
  ])('refuses the options %j', (options, option, message) => {
    expect(() => make(options)).toThrow(refused(option, message));
  });

  it('refuses names that the server would refuse', () => {
    for (const name of ['', null, 5, 'ä'.repeat(128), 'amq.gen-1'])
      expect(() => make({}, name), String(name)).toThrow(refused('name'));
    expect(make({ deadLetter: false }, 'ä'.repeat(127)).name).toHaveLength(127);
    // Its dead-letter queue would have 260 bytes.
    expect(() => make({}, 'a'.repeat(255))).toThrow(refused('name', /dead-letter queue/));
    expect(() => make({ deadLetter: 'amq.dead' })).toThrow(refused('name', /dead-letter queue/));
  });

  it.each(['\n', 'a\n', 'a\r\n', 'a\rb'])('refuses %j wherever a name is given', (name) => {
    expect(() => make({}, name)).toThrow(refused('name', /without line ends/));
    expect(() => make({ deadLetter: name })).toThrow(refused('deadLetter', /without line ends/));
    expect(() => make({ bindings: [{ exchange: name }] })).toThrow(refused('exchange', /without line ends/));
    expect(() => exchange(name, schema)).toThrow(refused('name', /without line ends/));
    expect(() => exchange('e', schema, { alternateExchange: name })).toThrow(refused('alternateExchange'));
    expect(() => exchange('e', schema).queue(name, '#')).toThrow(refused('name', /without line ends/));
    const bound = () => exchange('e', schema).subscription('#', { deadLetter: name });
    expect(bound).toThrow(refused('deadLetter', /without line ends/));
    const asked = () => procedure(name, { request: schema, response: schema });
    expect(asked).toThrow(refused('name', /without line ends/));
  });

  it.each([
    [{ type: 'stream', arguments: { 'x-dead-letter-exchange': 'dead' } }, /a stream queue cannot have/],
    [{ type: 'classic', arguments: { 'x-dead-letter-strategy': 'at-most-once' } }, /a classic queue cannot/],
    [{ arguments: { 'x-queue-mode': 'lazy' } }, /a quorum queue cannot have 'x-queue-mode'/],
    [{ arguments: { 'x-max-age': '7D' } }, /a quorum queue cannot have 'x-max-age'/],
    [{ deadLetter: false, arguments: { 'x-dead-letter-routing-key': 'dead' } }, /needs 'x-dead-letter-exch/],
  ])('refuses the arguments of %j', (options, message) => {
    expect(() => make(options)).toThrow(refused('arguments', message));
  });

  it('refuses a match that no headers exchange knows', () => {
    const headers = exchange('e', schema, { type: 'headers' });
    const match = { 'x-match': 'some', region: 'eu' };
    expect(() => headers.queue('q', match)).toThrow(refused('match', /'all', 'any'/));
    expect(() => make({ bindings: [{ exchange: headers, arguments: match }] })).toThrow(refused('match'));
    expect(headers.queue('q', { ...match, 'x-match': 'any-with-x' }).name).toBe('q');
  });

  it('uses names of the server, and does not declare them', () => {
    for (const declare of [false, 'passive'] as const) {
      expect(make({ declare }, 'amq.gen-1')).toMatchObject({ name: 'amq.gen-1', declare });
      expect(make({ declare, deadLetter: 'amq.gen-2' })).toMatchObject({ deadLetter: 'amq.gen-2' });
      const topics = exchange('amq.topic', schema, { declare });
      expect(topics.queue('rooms', '#')).toMatchObject({ name: 'rooms' });
      expect(topics.subscription('#').toQueue().name).toMatch(/^topic\./);
    }
  });

  it('accepts the contract of another queue for its dead letters, unless no other connection can use that one', () => {
    const repairs = make({}, 'repairs');
    expect(make({ deadLetter: repairs })).toMatchObject({
      deadLetter: 'repairs',
      deadLetterContract: repairs,
    });
    const mine = make({ type: 'classic', durable: false, exclusive: true }, 'mine');
    expect(() => make({ deadLetter: mine })).toThrow(refused('deadLetter', /not exclusive/));
    expect(() => make({ deadLetter: make({}, 'q') })).toThrow(
      refused('deadLetter', /its own dead-letter queue/),
    );
  });

  it('refuses what is no schema', () => {
    for (const wrong of [null, {}, 'string', () => true])
      expect(() => make({}, 'q', wrong)).toThrow(refused('schema', /Standard Schema/));
  });
});

describe('the guards', () => {
  it('tell contracts apart by their kind', () => {
    const events = exchange('e', schema, { type: 'fanout' });
    const all = [queue('q', schema), events, events.subscription()];
    expect(all.map(isQueue)).toEqual([true, false, false]);
    expect(all.map(isExchange)).toEqual([false, true, false]);
    expect(all.map(isSubscription)).toEqual([false, false, true]);
    for (const other of [undefined, null, 'queue', {}])
      expect({
        isQueue: isQueue(other),
        isExchange: isExchange(other),
        isSubscription: isSubscription(other),
      }).toEqual({ isQueue: false, isExchange: false, isSubscription: false });
  });
});
