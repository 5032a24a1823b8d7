import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../src/contracts/exchange.js';
import { queue } from '../../../src/contracts/queue.js';
import { deadLetterTopologyOf, topologyOf } from '../../../src/contracts/topology.js';
import type { QueueContract } from '../../../src/contracts/types.js';

const schema = z.object({ id: z.string() });
const topic = exchange('orders', schema);
const fanout = exchange('news', schema, { type: 'fanout', codec: 'json' });
const headers = exchange('parts', schema, { type: 'headers' });

/** As JavaScript calls it. */
const loose = (contract: unknown) =>
  contract as {
    queue(...args: unknown[]): QueueContract;
    subscription(...args: unknown[]): { toQueue(): QueueContract };
  };

const refused = (option: string, message = /./) =>
  expect.objectContaining({ code: 'INVALID_OPTION', option, message: expect.stringMatching(message) });

describe('exchange()', () => {
  it('is a durable topic exchange unless told otherwise', () => {
    expect(topic).toMatchObject({
      kind: 'exchange',
      name: 'orders',
      type: 'topic',
      codec: 'json',
      durable: true,
      autoDelete: false,
      internal: false,
      alternateExchange: undefined,
      declare: true,
      arguments: {},
    });
    expect(() => Object.assign(topic, { name: 'other' })).toThrow(TypeError);
  });

  it('refuses wrong names, schemas and options', () => {
    const make = exchange as (...args: unknown[]) => unknown;
    for (const name of ['', 5, 'amq.topic', 'a'.repeat(256)])
      expect(() => make(name, schema)).toThrow(refused('name'));
    expect(() => make('e', {})).toThrow(refused('schema'));
    expect(() => make('e', schema, { type: 'x-delayed-message' })).toThrow(refused('type'));
    expect(() => make('e', schema, { tpye: 'topic' })).toThrow(refused('tpye', /'type'/));
    expect(() => make('e', schema, { alternateExchange: queue('q', schema) })).toThrow(
      refused('alternateExchange', /exchange contract/),
    );
  });
});

describe('exchange.queue()', () => {
  it('is named in what is wrong with its name', () => {
    expect(() => exchange('', schema)).toThrow(/^The name of an exchange must be/);
  });

  it('takes no option that its exchange decides about', () => {
    expect(() => loose(topic).queue('q', 'k', { codec: 'text' })).toThrow(refused('codec'));
    expect(() => loose(topic).queue('q', 'k', { bindings: [] })).toThrow(
      /'bindings' cannot be set .+: it is bound/,
    );
    expect(() => loose(topic).queue('q', 'k', { codec: undefined })).not.toThrow();
  });

  it('is bound once for each routing key, with the schema and the codec of the exchange', () => {
    const text = exchange('lines', z.string(), { type: 'direct', codec: 'text' });
    const bound = text.queue('q', ['a', 'b'], { deadLetter: false });
    expect(bound).toMatchObject({ name: 'q', codec: 'text', schema: text.schema, deadLetter: undefined });
    expect(bound.bindings).toEqual([
      { exchange: text, routingKey: 'a' },
      { exchange: text, routingKey: 'b' },
    ]);
    expect(topic.queue('q', '').bindings).toEqual([{ exchange: topic, routingKey: '' }]);
    expect(fanout.queue('q', { deliveryLimit: 3 })).toMatchObject({
      bindings: [{ exchange: fanout }],
      deliveryLimit: 3,
    });
    expect(headers.queue('q', { region: 'eu' }).bindings).toEqual([
      { exchange: headers, arguments: { region: 'eu' } },
    ]);
  });

  it('refuses a routing key that is missing, wrong, or of no use', () => {
    for (const key of [undefined, 5, {}, 'a'.repeat(256), ['a', 5], []])
      expect(() => loose(topic).queue('q', key)).toThrow(refused('routingKey'));
    for (const match of [undefined, 'key', ['key']])
      expect(() => loose(headers).queue('q', match)).toThrow(refused('match'));
    expect(() => loose(fanout).queue('q', 'key')).toThrow(
      refused("exchange('news').queue('q')", /expected an options object/),
    );
    expect(() => loose(topic).queue('q', 'k', { prefetch: 5 })).toThrow(refused('prefetch'));
    expect(() => loose(topic).queue(5, 'k')).toThrow(refused('name'));
  });
});

describe('exchange.subscription()', () => {
  it('is another exclusive queue for each consumer, which leaves nothing behind', () => {
    const subscription = topic.subscription('eu.#', { maxLength: 5, retry: { attempts: 2 } });
    const [one, other] = [subscription.toQueue(), subscription.toQueue()];
    expect(one.name).toMatch(/^orders\.[0-9a-f-]{36}$/);
    expect(other.name).not.toBe(one.name);
    expect(one).toMatchObject({
      type: 'classic',
      durable: false,
      exclusive: true,
      autoDelete: true,
      deadLetter: undefined,
      retry: { attempts: 2 },
      bindings: [{ exchange: topic, routingKey: 'eu.#' }],
    });
    expect(one.arguments).toStrictEqual({ 'x-max-length': 5 });
    expect(topologyOf(one).map(({ kind }) => kind)).toEqual(['exchange', 'queue', 'binding']);
  });

  it('has a dead-letter queue only where one is named', () => {
    expect(topic.subscription('k', { deadLetter: 'lost' }).toQueue().deadLetter).toBe('lost');
    expect(loose(topic).subscription('k', { deadLetter: undefined }).toQueue().deadLetter).toBeUndefined();
    expect(() => loose(topic).subscription('k', { deadLetter: true })).toThrow(refused('deadLetter'));
  });

  it('has a name of at most 255 bytes, cut between characters', () => {
    const long = exchange('ä'.repeat(127), schema, { type: 'fanout' });
    const { name } = long.subscription().toQueue();
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(255);
    expect(name).not.toContain('\ufffd');
    const odd = exchange(`a${'ä'.repeat(127)}`, schema, { type: 'fanout' })
      .subscription()
      .toQueue();
    expect(odd.name).toMatch(/^aä+\.[0-9a-f-]{36}$/);
  });

  it('refuses wrong options at once', () => {
    expect(() => loose(topic).subscription('k', { exclusive: false })).toThrow(refused('exclusive'));
    expect(() => loose(topic).subscription('k', { maxLength: -1 })).toThrow(refused('maxLength'));
    expect(() => loose(topic).subscription()).toThrow(refused('routingKey'));
    expect(() => loose(fanout).subscription('k')).toThrow(refused("exchange('news').subscription(…)"));
  });
});

describe('topologyOf', () => {
  const named = (contract: Parameters<typeof topologyOf>[0]) =>
    topologyOf(contract).map((step) => {
      if (step.kind === 'queue') return `queue ${step.queue.name}${step.lenient ? ' or as it is' : ''}`;
      if (step.kind === 'exchange') return `exchange ${step.exchange.name}`;
      if (step.kind !== 'binding') return `${step.kind} ${step.name}`;
      return `bind ${step.binding.source} '${step.binding.routingKey}' ${step.binding.destination.name}`;
    });

  it('begins with what the others need', () => {
    const lost = exchange('lost', schema, { type: 'fanout' });
    const events = exchange('events', schema, { alternateExchange: lost });
    const bound = queue('q', schema, {
      bindings: [
        { exchange: events, routingKey: 'a.*' },
        { exchange: 'there', routingKey: 'b' },
        { exchange: exchange('passive', schema, { declare: 'passive', type: 'fanout' }) },
        { exchange: exchange('known', schema, { declare: false }), routingKey: 'c' },
      ],
    });
    expect(named(bound)).toEqual([
      'queue q.dead or as it is',
      'exchange lost',
      'exchange events',
      'check-exchange passive',
      'queue q',
      "bind events 'a.*' q",
      "bind there 'b' q",
      "bind passive '' q",
      "bind known 'c' q",
    ]);
  });

  it('declares what the contract says, to the argument', () => {
    const contract = queue('q', schema, { type: 'classic', durable: false, deadLetter: false });
    expect(topologyOf(contract)).toEqual([
      {
        kind: 'queue',
        queue: { name: 'q', durable: false, exclusive: false, autoDelete: false, arguments: {} },
      },
    ]);
    const alternate = exchange('e', schema, {
      type: 'direct',
      alternateExchange: 'rest',
      internal: true,
      arguments: { 'x-custom': 1 },
    });
    expect(topologyOf(alternate)).toEqual([
      {
        kind: 'exchange',
        exchange: {
          name: 'e',
          type: 'direct',
          durable: true,
          autoDelete: false,
          internal: true,
          arguments: { 'x-custom': 1, 'alternate-exchange': 'rest' },
        },
      },
    ]);
    expect(topologyOf(headers.queue('q', { region: 'eu' }, { deadLetter: false })).at(-1)).toEqual({
      kind: 'binding',
      binding: {
        destination: { kind: 'queue', name: 'q' },
        source: 'parts',
        routingKey: '',
        arguments: { region: 'eu' },
      },
    });
  });

  it('only looks, or does nothing, where the contract says so', () => {
    expect(named(queue('q', schema, { declare: 'passive' }))).toEqual(['check-queue q']);
    expect(named(queue('q', schema, { declare: false }))).toEqual([]);
    expect(named(exchange('e', schema, { declare: 'passive' }))).toEqual(['check-exchange e']);
    expect(named(exchange('e', schema, { declare: false }))).toEqual([]);
  });

  it('gives dead letters a durable, replicated queue that never drops them', () => {
    expect(deadLetterTopologyOf(queue('q', schema, { deadLetter: 'lost' }))).toEqual([
      {
        kind: 'queue',
        lenient: true,
        queue: {
          name: 'lost',
          durable: true,
          exclusive: false,
          autoDelete: false,
          arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 },
        },
      },
    ]);
  });
});
