import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../src/contracts/exchange.js';
import { queue } from '../../../src/contracts/queue.js';
import {
  consumedTopologyOf,
  deadLetterTopologyOf,
  type TopologyStep,
  topologyOf,
} from '../../../src/contracts/topology.js';

const schema = z.any();

/** The steps in short. */
function short(steps: readonly TopologyStep[]): string[] {
  return steps.map((step) => {
    switch (step.kind) {
      case 'queue':
        return `queue ${step.queue.name}`;
      case 'exchange':
        return `exchange ${step.exchange.name}`;
      case 'binding':
        return `bind ${step.binding.destination.name} to ${step.binding.source}: ${step.binding.routingKey}`;
      default:
        return `${step.kind} ${step.name}`;
    }
  });
}

describe('what is declared for a queue', () => {
  it('is its dead-letter queue first, which is lenient about its arguments and never drops anything', () => {
    const [deadLetters, own, ...more] = topologyOf(queue('emails', schema));

    expect(deadLetters).toEqual({
      kind: 'queue',
      lenient: true,
      queue: {
        name: 'emails.dead',
        durable: true,
        exclusive: false,
        autoDelete: false,
        arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 },
      },
    });
    expect(own).toMatchObject({ kind: 'queue', queue: { name: 'emails', durable: true } });
    expect(own).not.toHaveProperty('lenient');
    expect(more).toEqual([]);
  });

  it('is the queue with everything that its contract says', () => {
    const contract = queue('mine', schema, {
      type: 'classic',
      durable: false,
      exclusive: true,
      autoDelete: true,
      deadLetter: false,
      maxPriority: 3,
    });

    expect(topologyOf(contract)).toEqual([
      {
        kind: 'queue',
        queue: {
          name: 'mine',
          durable: false,
          exclusive: true,
          autoDelete: true,
          arguments: { 'x-max-priority': 3 },
        },
      },
    ]);
  });

  it('has each exchange before the queue, and the bindings last', () => {
    const orders = exchange('orders', schema);
    const contract = queue('billing', schema, {
      deadLetter: 'failed',
      bindings: [
        { exchange: orders, routingKey: 'eu.*' },
        { exchange: 'by-name', routingKey: 'us' },
        { exchange: 'without-key', arguments: { region: 'eu' } },
      ],
    });
    const steps = topologyOf(contract);

    expect(short(steps)).toEqual([
      'exchange orders',
      'queue billing',
      'bind billing to orders: eu.*',
      'bind billing to by-name: us',
      'bind billing to without-key: ',
    ]);
    expect(steps.at(-1)).toMatchObject({ binding: { arguments: { region: 'eu' } } });
    expect(steps.at(-2)).toMatchObject({
      binding: { destination: { kind: 'queue', name: 'billing' }, arguments: {} },
    });
  });

  it('is nothing but a look, or nothing at all, where the contract says so', () => {
    const bindings = [{ exchange: 'orders' }];

    expect(short(topologyOf(queue('q', schema, { declare: 'passive', bindings })))).toEqual([
      'check-queue q',
    ]);
    expect(topologyOf(queue('q', schema, { declare: false, bindings }))).toEqual([]);
  });

  it('is one binding for each routing key of an exchange', () => {
    const orders = exchange('orders', schema);

    expect(short(topologyOf(orders.queue('q', ['eu.*', 'us.*'], { deadLetter: false })))).toEqual([
      'exchange orders',
      'exchange orders',
      'queue q',
      'bind q to orders: eu.*',
      'bind q to orders: us.*',
    ]);
  });
});

describe('what is declared for an exchange', () => {
  it('is the exchange with everything that its contract says', () => {
    const contract = exchange('orders', schema, {
      type: 'headers',
      durable: false,
      autoDelete: true,
      internal: true,
      arguments: { 'x-custom': 1 },
    });

    expect(topologyOf(contract)).toEqual([
      {
        kind: 'exchange',
        exchange: {
          name: 'orders',
          type: 'headers',
          durable: false,
          autoDelete: true,
          internal: true,
          arguments: { 'x-custom': 1 },
        },
      },
    ]);
  });

  it('has its alternate exchange first', () => {
    const last = exchange('last', schema, { type: 'fanout' });
    const middle = exchange('middle', schema, { alternateExchange: last });
    const steps = topologyOf(exchange('first', schema, { alternateExchange: middle }));

    expect(short(steps)).toEqual(['exchange last', 'exchange middle', 'exchange first']);
    expect(steps.at(-1)).toMatchObject({ exchange: { arguments: { 'alternate-exchange': 'middle' } } });
  });

  it('leaves an alternate exchange alone that it only knows by name', () => {
    const steps = topologyOf(exchange('first', schema, { alternateExchange: 'other' }));

    expect(short(steps)).toEqual(['exchange first']);
    expect(steps[0]).toMatchObject({ exchange: { arguments: { 'alternate-exchange': 'other' } } });
  });

  it('is nothing but a look, or nothing at all, where the contract says so', () => {
    expect(short(topologyOf(exchange('e', schema, { declare: 'passive' })))).toEqual(['check-exchange e']);
    expect(topologyOf(exchange('e', schema, { declare: false }))).toEqual([]);
  });
});

describe('what is declared again for dead letters', () => {
  it('is their queue alone', () => {
    expect(short(deadLetterTopologyOf(queue('q', schema, { bindings: [{ exchange: 'orders' }] })))).toEqual([
      'queue q.dead',
    ]);
  });

  it('is nothing where there are none', () => {
    expect(deadLetterTopologyOf(queue('q', schema, { deadLetter: false }))).toEqual([]);
  });

  it.each([false, 'passive'] as const)(
    'is their queue also where the program does not declare the queue itself (%s)',
    (declare) => {
      expect(short(deadLetterTopologyOf(queue('q', schema, { declare })))).toEqual(['queue q.dead']);
    },
  );

  it.each([false, 'passive'] as const)(
    'is nothing but a look for a queue of another name where the program does not declare the queue itself (%s)',
    (declare) => {
      expect(deadLetterTopologyOf(queue('q', schema, { declare, deadLetter: 'lost' }))).toEqual([
        { kind: 'check-queue', name: 'lost', deadLetterOf: 'q' },
      ]);
    },
  );

  it('is what the contract of their queue says', () => {
    const repairs = queue('repairs', schema, { retry: { attempts: 2 } });
    const orders = queue('orders', schema, { deadLetter: repairs });

    expect(orders.deadLetter).toBe('repairs');
    expect(deadLetterTopologyOf(orders)).toEqual(topologyOf(repairs));
    expect(short(topologyOf(orders))).toEqual(['queue repairs.dead', 'queue repairs', 'queue orders']);
  });
});

describe('a dead-letter queue that is given by name', () => {
  it('is not declared ahead where the server keeps its dead letters until the queue is there', () => {
    expect(short(topologyOf(queue('q', schema, { deadLetter: 'lost' })))).toEqual(['queue q']);
    expect(short(topologyOf(queue('q', schema, { deadLetter: 'lost', type: 'stream' })))).toEqual([
      'queue q',
    ]);
  });

  it('is declared with its queue where the server would lose them', () => {
    for (const options of [{ type: 'classic' }, { overflow: 'drop-head' }] as const)
      expect(short(topologyOf(queue('q', schema, { ...options, deadLetter: 'lost' })))).toEqual([
        'queue lost',
        'queue q',
      ]);
  });
});

describe('what is declared for a consumer', () => {
  it('has a place for dead letters also where the program does not declare the queue itself', () => {
    expect(short(consumedTopologyOf(queue('q', schema, { declare: false })))).toEqual(['queue q.dead']);
    expect(short(consumedTopologyOf(queue('q', schema, { declare: 'passive' })))).toEqual([
      'check-queue q',
      'queue q.dead',
    ]);
    expect(short(consumedTopologyOf(queue('q', schema)))).toEqual(['queue q.dead', 'queue q']);
    expect(consumedTopologyOf(queue('q', schema, { declare: false, deadLetter: false }))).toEqual([]);
    expect(short(consumedTopologyOf(queue('q', schema, { deadLetter: 'lost' })))).toEqual([
      'queue q',
      'queue lost',
    ]);
  });
});

describe('what is declared for an exchange that is bound to others', () => {
  const audit = exchange('audit', schema, {
    type: 'fanout',
    bindings: [
      { exchange: exchange('orders', schema), routingKey: '#' },
      { exchange: 'legacy', arguments: { 'x-match': 'any', kind: 'order' } },
    ],
  });

  it('is what it gets messages from, then itself, then the bindings', () => {
    expect(short(topologyOf(audit))).toEqual([
      'exchange orders',
      'exchange audit',
      'bind audit to orders: #',
      'bind audit to legacy: ',
    ]);
    expect(topologyOf(audit).at(-1)).toMatchObject({
      binding: { destination: { kind: 'exchange' }, arguments: { 'x-match': 'any', kind: 'order' } },
    });
  });

  it('comes with a queue that is bound to it', () => {
    expect(short(topologyOf(audit.queue('trail', { deadLetter: false })))).toEqual([
      'exchange orders',
      'exchange audit',
      'bind audit to orders: #',
      'bind audit to legacy: ',
      'queue trail',
      'bind trail to audit: ',
    ]);
  });

  it('is refused when a binding is wrong', () => {
    const made = (bindings: unknown) => () => exchange('audit', schema, { bindings } as object);
    expect(made('orders')).toThrow(/an array/);
    expect(made([{}])).toThrow(/each needs an 'exchange'/);
    expect(made([{ exchange: 5 }])).toThrow(/'exchange' must be/);
    expect(made([{ exchange: 'audit' }])).toThrow(/bound to itself/);
  });
});
