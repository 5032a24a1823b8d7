import { describe, expect, it } from 'vitest';
import { ClosedError } from '../../../../src/errors.js';
import type { Credentials } from '../../../../src/transport/port.js';
import { ConnectionBench } from '../../support/connection-bench.js';
import { turn } from '../../support/fake-clock.js';
import { FakeLink } from '../../support/fake-link.js';
import { REFUSED } from '../../support/fake-transport.js';
import { rejectionOf, track } from '../../support/track.js';

describe('credentials', () => {
  it('are asked for before every attempt', async () => {
    let asked = 0;
    const bench = new ConnectionBench({
      credentials: async () => ({ username: 'ada', password: String(++asked) }),
    });
    bench.transport.rule = (_, count) => (count < 3 ? REFUSED : new FakeLink());
    const linking = bench.connection.link();
    await bench.clock.pass(10_000);
    await linking;

    expect(bench.transport.dials.map(({ options }) => options.credentials)).toEqual([
      { username: 'ada', password: '1' },
      { username: 'ada', password: '2' },
      { username: 'ada', password: '3' },
    ]);
    expect(bench.transport.last.options.role).toBe('publish');
  });

  it.each<[string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('vault is sealed');
      },
    ],
    ['rejects', () => Promise.reject(new Error('vault is sealed'))],
    ['answers with something else', () => ({ user: 'ada' })],
  ])('are tried again when the function %s', async (_, credentials) => {
    const bench = new ConnectionBench({
      credentials: credentials as () => Credentials,
      startupTimeoutMs: 2_000,
    });
    const linking = track(bench.connection.link());
    await bench.clock.pass(3_000);

    expect(linking.error).toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringMatching(
        /^Could not connect to RabbitMQ \(amqp:\/\/a:5672: the credentials function failed\)\. Tried for [\d.]+ s \('startupTimeoutMs'\)$/,
      ),
    });
    expect(bench.transport.dials).toEqual([]);
  });

  it('are never shown when they are wrong', async () => {
    const wrong = { username: 5, password: 'canary' } as unknown as Credentials;
    const bench = new ConnectionBench({ credentials: () => wrong, startupTimeoutMs: 500 });
    const linking = track(bench.connection.link());
    await bench.clock.pass(1_000);
    const { message, cause } = linking.error as Error;

    expect(`${message} ${String(cause)}`).not.toContain('canary');
  });
});

describe('closing a connection', () => {
  it('says goodbye, dials no more and leaves nothing', async () => {
    const bench = new ConnectionBench();
    bench.transport.rule = () => new FakeLink();
    const { connection } = bench;
    await connection.link();
    await Promise.all([connection.close(), connection.close()]);
    await bench.clock.pass(60_000);

    expect(bench.transport.links[0]?.requests).toEqual(['close link']);
    expect({
      dials: bench.transport.dials.length,
      armed: bench.clock.armed,
      status: connection.state.status,
    }).toEqual({ dials: 1, armed: 0, status: 'closed' });
    expect(await rejectionOf(connection.link())).toBeInstanceOf(ClosedError);
  });

  const idle = () => new ConnectionBench();
  const dialling = () => {
    const bench = new ConnectionBench();
    track(bench.connection.link());
    return bench;
  };
  const waiting = () => {
    const bench = dialling();
    bench.transport.rule = () => REFUSED;
    return bench;
  };
  const asking = () => {
    const bench = new ConnectionBench({ credentials: () => new Promise(() => {}) });
    track(bench.connection.link());
    return bench;
  };

  it.each([
    ['was never used', idle],
    ['dials', dialling],
    ['waits for the next attempt', waiting],
    ['asks for credentials', asking],
  ])('ends at once while it %s, and nothing goes on', async (_, make) => {
    const { connection, transport, clock } = make();
    await turn();
    const closing = track(connection.close());
    await turn();
    const dials = transport.dials.length;
    await clock.pass(60_000);

    expect({ state: closing.state, status: connection.state.status, armed: clock.armed }).toEqual({
      state: 'resolved',
      status: 'closed',
      armed: 0,
    });
    expect(transport.dials).toHaveLength(dials);
  });

  it('ends at once also before it has begun to dial', async () => {
    const { connection } = dialling();
    const closing = track(connection.close());
    await turn();

    expect({ state: closing.state, status: connection.state.status }).toEqual({
      state: 'resolved',
      status: 'closed',
    });
  });

  it('rejects those who wait for a link', async () => {
    const bench = new ConnectionBench();
    const { connection } = bench;
    const linking = track(connection.link());
    await turn();
    await connection.close();

    expect(linking.error).toBeInstanceOf(ClosedError);
    expect(bench.transport.last.options.signal.aborted).toBe(true);
  });

  it('is not what destroy does: the next link is dialled', async () => {
    const bench = new ConnectionBench();
    bench.transport.rule = () => new FakeLink();
    const { connection } = bench;
    await connection.link();
    connection.destroy(new Error('no answer'));
    await bench.clock.pass(1_000);

    expect({ dials: bench.transport.dials.length, status: connection.state.status }).toEqual({
      dials: 2,
      status: 'open',
    });
  });
});
