import { beforeEach, describe, expect, it } from 'vitest';
import { ConfigurationError } from '../../src/errors.js';
import { Events } from '../../src/event-emitter.js';
import { type BrokerEvent, type Logger, silentLogger } from '../../src/events.js';
import { turn } from './support/fake-clock.js';
import { thrownBy } from './support/track.js';

let log: { level: string; details: object; message: string }[];
let events: Events;

beforeEach(() => {
  log = [];
  const at = (level: string) => (details: object, message: string) =>
    void log.push({ level, details, message });
  events = new Events({ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') });
});

const reason = new Error('reset');
const blocked = { reason: 'memory' };

/** What each event carries, and how loudly it is logged. */
const table: { event: BrokerEvent; level: keyof Logger; details: object }[] = [
  { event: 'connected', level: 'info', details: { address: 'a' } },
  { event: 'disconnected', level: 'warn', details: { connection: 'publish', error: reason, delayMs: 5 } },
  {
    event: 'connect-failed',
    level: 'warn',
    details: { connection: 'consume', error: reason, attempt: 2, delayMs: 5 },
  },
  { event: 'blocked', level: 'warn', details: blocked },
  { event: 'unblocked', level: 'info', details: {} },
  { event: 'consumer-recovered', level: 'info', details: { queue: 'q', downMs: 9, reason: 'reset' } },
  { event: 'consumer-failed', level: 'error', details: { queue: 'q', error: reason } },
  { event: 'topology-restored', level: 'warn', details: { kind: 'queue', name: 'q' } },
  { event: 'invalid-message', level: 'warn', details: { queue: 'q', messageId: 'm', issues: [] } },
  {
    event: 'handler-error',
    level: 'warn',
    details: { queue: 'q', messageId: 'm', attempt: 1, error: reason },
  },
  {
    event: 'dead-lettered',
    level: 'warn',
    details: { queue: 'q', deadLetterQueue: 'q.dead', messageId: 'm', attempt: 5, error: reason },
  },
  {
    event: 'dead-letter-failed',
    level: 'warn',
    details: {
      queue: 'q',
      deadLetterQueue: 'q.dead',
      messageId: 'm',
      attempt: 5,
      error: reason,
      delayMs: 1_000,
    },
  },
  {
    event: 'outbox-stuck',
    level: 'warn',
    details: { table: 't', id: '1', messageId: 'm', contract: 'queue:q', attempts: 5, error: reason },
  },
  { event: 'duplicate', level: 'info', details: { queue: 'q', messageId: 'm' } },
  { event: 'no-message-id', level: 'warn', details: { queue: 'q' } },
];

describe('the events of a broker', () => {
  it.each(table)('tell the listener and the log of $event', ({ event, level, details }) => {
    const heard: unknown[] = [];
    events.on(event, (it) => heard.push(it));
    events.emit(event, details as never);
    const { error, ...others } = details as { error?: Error };

    expect(heard).toEqual([details]);
    const logged =
      event === 'connect-failed' ? { ...others, reason: error?.message } : { ...others, err: error };
    expect(log).toEqual([{ level, message: event, details: error ? logged : others }]);
  });

  it('go to no other listener, and need none', () => {
    const heard: unknown[] = [];
    events.on('blocked', (it) => heard.push(it));
    events.emit('unblocked', {});

    expect(heard).toEqual([]);
  });

  it('reach every listener in order, each once however often it was added', () => {
    const heard: string[] = [];
    const first = () => heard.push('first');
    events.on('blocked', first);
    events.on('blocked', () => heard.push('second'));
    events.on('blocked', first);
    events.emit('blocked', blocked);

    expect(heard).toEqual(['first', 'second']);
  });

  it('do not reach a listener that was taken off, or any after clear', () => {
    const heard: string[] = [];
    const listener = () => heard.push('heard');
    events.on('blocked', listener);
    events.off('blocked', listener);
    events.off('unblocked', listener);
    events.emit('blocked', blocked);
    events.on('blocked', listener);
    events.clear();
    events.emit('blocked', blocked);

    expect(heard).toEqual([]);
  });

  it('reach those who listened at the time, whatever the listeners add and remove', () => {
    const heard: string[] = [];
    const second = () => heard.push('second');
    events.on('blocked', () => {
      events.off('blocked', second);
      events.on('blocked', () => heard.push('late'));
    });
    events.on('blocked', second);
    events.emit('blocked', blocked);

    expect(heard).toEqual(['second']);
  });

  it('go on when a listener throws, and the log tells of it', () => {
    const heard: string[] = [];
    const bug = new Error('a bug');
    events.on('blocked', () => {
      throw bug;
    });
    events.on('blocked', () => heard.push('second'));

    expect(() => events.emit('blocked', blocked)).not.toThrow();
    expect(heard).toEqual(['second']);
    expect(log.at(-1)).toEqual({
      level: 'error',
      message: 'a listener threw',
      details: { event: 'blocked', err: bug },
    });
  });

  it('go on when an async listener rejects: it is no unhandled rejection', async () => {
    const bug = new Error('a bug');
    const listener: (event: { readonly reason: string }) => unknown = () => Promise.reject(bug);
    events.on('blocked', (event) => listener(event));
    events.emit('blocked', blocked);
    await turn();

    expect(log.at(-1)).toMatchObject({ level: 'error', details: { event: 'blocked', err: bug } });
  });

  it('go on when a listener answers with a promise of another library that rejects', async () => {
    // biome-ignore lint/suspicious/noThenProperty: such a promise
    const foreign = { then: (_: unknown, reject: (error: Error) => void) => reject(reason) };
    events.on('blocked', () => foreign as never);
    events.emit('blocked', blocked);
    await turn();

    expect(log.at(-1)).toMatchObject({ level: 'error', details: { event: 'blocked', err: reason } });
  });

  it('go on when an async logger rejects: it is no unhandled rejection', async () => {
    const calls: unknown[] = [];
    const fail = () => {
      const rejected = Promise.reject(new Error('disk full'));
      calls.push(rejected);
      return rejected as never;
    };
    // The runner fails a run with an unhandled rejection.
    new Events({ debug: fail, info: fail, warn: fail, error: fail }).emit('blocked', blocked);
    await turn();

    expect(calls).toHaveLength(1);
  });

  it('go on when the logger throws', () => {
    const fail = () => {
      throw new Error('disk full');
    };
    const broken = new Events({ debug: fail, info: fail, warn: fail, error: fail });
    const heard: unknown[] = [];
    broken.on('blocked', () => fail());
    broken.on('blocked', (it) => heard.push(it));

    expect(() => broken.emit('blocked', blocked)).not.toThrow();
    expect(heard).toEqual([blocked]);
  });

  it('call the logger with itself as `this`', () => {
    const seen: unknown[] = [];
    const logger = {
      ...silentLogger,
      warn(this: unknown) {
        seen.push(this);
      },
    };
    new Events(logger).emit('blocked', blocked);

    expect(seen).toEqual([logger]);
  });

  it.each(['error', 'message', 'constructor', '__proto__', '', 5, undefined])(
    'do not know %o, and say which there are',
    (name) => {
      const error = thrownBy(() => events.on(name as never, () => {}));

      expect(error).toBeInstanceOf(ConfigurationError);
      expect((error as Error).message).toContain(table.map(({ event }) => event).join(', '));
    },
  );

  it.each([undefined, null, 'listener', {}])('take a function for a listener, not %o', (listener) => {
    const error = thrownBy(() => events.on('blocked', listener as never));

    expect(error).toMatchObject({ code: 'INVALID_OPTION', option: 'listener' });
  });
});
