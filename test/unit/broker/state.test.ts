import { describe, expect, it } from 'vitest';
import { type ConsumerHealth, healthOf } from '../../../src/broker/health.js';
import { isDown, summarise } from '../../../src/broker/state.js';
import { ConnectionError } from '../../../src/errors.js';
import type { ConnectionState } from '../../../src/transport/connection/connection-state.js';

const error = new Error('reset');
const refused = new ConnectionError('ACCESS_REFUSED', 'wrong password');

const states = {
  idle: { status: 'idle' },
  gaveUp: { status: 'idle', error: refused },
  connecting: { status: 'connecting', attempt: 1 },
  connectingAgain: { status: 'connecting', attempt: 3, error },
  waiting: { status: 'waiting', attempt: 2, delayMs: 5, error },
  open: { status: 'open', address: 'amqp://a' },
  blocked: { status: 'open', address: 'amqp://a', blocked: 'memory' },
  closing: { status: 'closing' },
} satisfies Record<string, ConnectionState>;

type Name = keyof typeof states;

/** A connection that was open before is marked with an exclamation mark. */
const observed = (...names: (Name | `${Name}!`)[]) =>
  names.map((name) => ({
    state: states[name.replace('!', '') as Name] as ConnectionState,
    hasBeenOpen: name.endsWith('!'),
  }));

describe('the state of a broker', () => {
  it.each<[(Name | `${Name}!`)[], object]>([
    [['idle', 'idle'], { status: 'idle' }],
    [['gaveUp', 'idle'], { status: 'idle' }],
    [['connecting', 'idle'], { status: 'connecting', attempt: 1 }],
    [['connectingAgain', 'idle'], { status: 'connecting', attempt: 3, error }],
    [['waiting', 'idle'], { status: 'connecting', attempt: 2, error }],
    [['idle', 'connecting'], { status: 'connecting', attempt: 1 }],
    [['open!', 'idle'], { status: 'connected', address: 'amqp://a' }],
    [['open!', 'connecting'], { status: 'connected', address: 'amqp://a' }],
    [['open!', 'open!'], { status: 'connected', address: 'amqp://a' }],
    [['blocked!', 'open!'], { status: 'blocked', reason: 'memory' }],
    [['open!', 'blocked!'], { status: 'blocked', reason: 'memory' }],
    [['waiting!', 'idle'], { status: 'reconnecting', error }],
    [['open!', 'waiting!'], { status: 'reconnecting', error }],
    [['connectingAgain!', 'open!'], { status: 'reconnecting', error }],
    [['blocked!', 'waiting!'], { status: 'reconnecting', error }],
    [['connecting!', 'open!'], { status: 'reconnecting', error: new Error('the connection was lost') }],
  ])('is for %j: %j', (names, state) => {
    expect(summarise(observed(...names), 'open')).toEqual(state);
  });

  it.each(['closing', 'closed'] as const)('is %s whatever its connections do', (life) => {
    expect(summarise(observed('open!', 'waiting!'), life)).toEqual({ status: life });
  });

  it('takes a connection that was open and is not for down, and none that is opened for the first time', () => {
    expect(observed('open!', 'waiting!', 'connecting!', 'connecting', 'idle', 'idle!').map(isDown)).toEqual([
      false,
      true,
      true,
      false,
      false,
      true,
    ]);
  });
});

describe('the health of a broker', () => {
  const connections = (publish: Name, consume: Name) => [
    { role: 'publish' as const, state: states[publish] as ConnectionState },
    { role: 'consume' as const, state: states[consume] as ConnectionState },
  ];
  const consumer = (state: ConsumerHealth['state']): ConsumerHealth => ({
    queue: 'q',
    state,
    lastDeliveryAt: undefined,
    inFlight: 0,
    error: undefined,
  });

  it.each<[Name, Name, ConsumerHealth['state'][], string]>([
    ['open', 'open', ['running', 'paused', 'idle'], 'up'],
    ['open', 'idle', [], 'up'],
    ['blocked', 'open', ['running'], 'degraded'],
    ['waiting', 'open', ['running'], 'degraded'],
    ['open', 'connecting', ['starting'], 'degraded'],
    ['open', 'open', ['running', 'recovering'], 'degraded'],
    ['open', 'open', ['closing'], 'degraded'],
    ['waiting', 'waiting', ['recovering'], 'down'],
    ['connecting', 'idle', [], 'down'],
    ['idle', 'idle', [], 'down'],
  ])('with %s and %s connections and %j consumers is %s', (publish, consume, consumers, status) => {
    expect(healthOf(connections(publish, consume), consumers.map(consumer), [], []).status).toBe(status);
  });

  it('tells of each connection that is used, and of everything else as it is', () => {
    const consumers = [consumer('running')];
    const producers = [{ target: 'emails', pending: 2, inFlight: 1 }];
    const health = healthOf(connections('blocked', 'waiting'), consumers, producers, []);

    expect(health).toEqual({
      status: 'degraded',
      connections: [
        { role: 'publish', status: 'open', address: 'amqp://a', blocked: 'memory', error: undefined },
        { role: 'consume', status: 'waiting', address: undefined, blocked: undefined, error: 'reset' },
      ],
      consumers,
      producers,
      relays: [],
    });
    expect(healthOf(connections('idle', 'open'), [], [], []).connections).toHaveLength(1);
  });
});
