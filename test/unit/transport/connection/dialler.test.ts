import { describe, expect, it } from 'vitest';
import type { ConnectionError } from '../../../../src/errors.js';
import type { Credentials } from '../../../../src/transport/port.js';
import { ConnectionBench } from '../../support/connection-bench.js';
import { turn } from '../../support/fake-clock.js';
import { FakeLink } from '../../support/fake-link.js';
import { REFUSED } from '../../support/fake-transport.js';
import { track } from '../../support/track.js';

describe('a dial', () => {
  it('that gets no answer fails after its time, and its late success is dropped', async () => {
    const bench = new ConnectionBench({ isEstablished: true });
    const linking = track(bench.connection.link());
    await turn();
    const [first] = bench.transport.dials;
    await bench.clock.pass(9_999);
    const before = first?.options.signal.aborted;
    await bench.clock.pass(5_000);
    const late = new FakeLink();
    first?.outcome.resolve(late);
    bench.transport.succeed();
    await turn();

    expect({ before, aborted: first?.options.signal.aborted }).toEqual({ before: false, aborted: true });
    expect(linking.value).toBe(bench.transport.links[0]);
    expect(bench.transport.dials.length).toBeGreaterThan(1);
  });

  it('that succeeds too late is destroyed', async () => {
    const bench = new ConnectionBench({ isEstablished: true });
    const late = new FakeLink();
    // A transport that does not listen to its signal.
    bench.transport.dial = () =>
      new Promise((resolve) => bench.clock.setTimeout(() => resolve(late), 15_000));
    const { connection } = bench;
    void connection.link();
    await bench.clock.pass(15_000);

    expect({ isOpen: late.isOpen, current: connection.current }).toEqual({
      isOpen: false,
      current: undefined,
    });
    await connection.close();
  });

  it('is short in the first round over several addresses, since another one may answer at once', async () => {
    const bench = new ConnectionBench({ addresses: ['a', 'b'], isEstablished: true });
    const { clock, connection, transport } = bench;
    const linking = track(connection.link());
    await clock.pass(2_999);
    const dialled = [transport.dials.length];
    await clock.pass(1);
    dialled.push(transport.dials.length);
    // Both have been tried now: one that is only slow gets the time that it needs.
    await clock.pass(3_000 + 100 + 9_800);
    dialled.push(transport.dials.length);
    transport.succeed();
    await turn();
    // After a loss another one may be there again.
    transport.links[0]?.die();
    await clock.pass(4_000);
    dialled.push(transport.dials.length);

    expect(dialled).toEqual([1, 2, 3, 5]);
    expect(linking.state).toBe('resolved');
  });

  it('does not count the time in which the credentials were got', async () => {
    const password = { username: 'u', password: 'p' };
    let calls = 0;
    const bench: ConnectionBench = new ConnectionBench({
      addresses: ['a', 'b'],
      isEstablished: true,
      credentials: () => {
        calls++;
        return new Promise((resolve) => bench.clock.setTimeout(() => resolve(password), 9_000));
      },
    });
    bench.transport.rule = () => new FakeLink();
    const linking = track(bench.connection.link());
    await bench.clock.pass(9_000);

    expect({ state: linking.state, calls }).toEqual({ state: 'resolved', calls: 1 });
  });

  it('that the end of the start cuts short does not hide what an earlier one met', async () => {
    const bench = new ConnectionBench({ addresses: ['a', 'b'], startupTimeoutMs: 2_000 });
    // Then neither answers: the first of the second round takes the time that is left, and the other one has a millisecond.
    bench.transport.rule = (_, count) => (count <= 2 ? REFUSED : undefined);
    const linking = track(bench.connection.link());
    await bench.clock.pass(2_100);

    const { attempts } = linking.error as ConnectionError;
    expect(attempts.map(({ reason }) => reason).sort()).toEqual([
      'ECONNREFUSED',
      expect.stringMatching(/^no answer within 1\d\d\d ms$/),
    ]);
    expect(bench.transport.dials).toHaveLength(4);
  });

  it('has no more time than is left of the start', async () => {
    const bench = new ConnectionBench({ startupTimeoutMs: 2_000 });
    const linking = track(bench.connection.link());
    await bench.clock.pass(2_100);

    expect(linking.error).toMatchObject({ message: expect.stringContaining('no answer within 2000 ms') });
  });
});

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
