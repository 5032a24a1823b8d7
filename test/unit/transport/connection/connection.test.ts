import { describe, expect, it } from 'vitest';
import { ConnectionError } from '../../../../src/errors.js';
import { ConnectionBench, failure } from '../../support/connection-bench.js';
import { turn } from '../../support/fake-clock.js';
import { FakeLink } from '../../support/fake-link.js';
import { REFUSED } from '../../support/fake-transport.js';
import { rejectionOf, track } from '../../support/track.js';

describe('a connection', () => {
  it('dials when it is needed, and once for all callers', async () => {
    const bench = new ConnectionBench();
    const { connection } = bench;
    await turn();
    const before = bench.transport.dials.length;
    const links = [connection.link(), connection.link()];
    await turn();
    const link = bench.transport.succeed();

    expect(await Promise.all(links)).toEqual([link, link]);
    expect({ before, dials: bench.transport.dials.length, current: connection.current }).toEqual({
      before: 0,
      dials: 1,
      current: link,
    });
    expect(connection.state).toEqual({ status: 'open', address: 'fake://broker' });
    expect(bench.log).toEqual(['dial: connecting', 'opened: open']);
  });

  it('tries again until a server answers', async () => {
    const bench = new ConnectionBench();
    bench.transport.rule = (_, count) => (count < 5 ? REFUSED : new FakeLink());
    const linked = track(bench.connection.link());
    await bench.clock.pass(10_000);

    expect({ state: linked.state, dials: bench.transport.dials.length }).toEqual({
      state: 'resolved',
      dials: 5,
    });
  });

  it('tries all addresses in a random order at once, and waits only when all have failed', async () => {
    const bench = new ConnectionBench({ addresses: ['a', 'b', 'c'] });
    bench.transport.rule = () => REFUSED;
    bench.clock.chance = 0;
    void bench.connection.link().catch(() => {});
    await turn();
    const order = bench.transport.dials.map(({ address }) => address);

    expect(order).toEqual(['b', 'c', 'a']);
  });

  it('reports the alarms of its link', async () => {
    const bench = new ConnectionBench();
    const { connection } = bench;
    const linking = connection.link();
    await turn();
    const link = bench.transport.succeed();
    await linking;
    link.block('memory');
    const blocked = connection.state;
    link.block(undefined);

    expect(blocked).toMatchObject({ status: 'open', blocked: 'memory' });
    expect(connection.state).not.toHaveProperty('blocked');
  });

  it('dials again after each loss, by itself and forever', async () => {
    const bench = new ConnectionBench({ isEstablished: true });
    bench.transport.rule = () => new FakeLink();
    const { connection } = bench;
    await connection.link();
    for (let loss = 0; loss < 5; loss++) {
      bench.transport.links.at(-1)?.die(new Error('reset'));
      await bench.clock.pass(60_000);
    }

    expect(bench.transport.dials).toHaveLength(6);
    expect(connection.state.status).toBe('open');
    expect(bench.log.slice(0, 5)).toEqual([
      'dial: connecting',
      'opened: open',
      'lost: waiting',
      'dial: connecting',
      'opened: open',
    ]);
  });

  it('gives those who ask meanwhile the next link, not the dead one', async () => {
    const bench = new ConnectionBench();
    const { connection } = bench;
    const first = connection.link();
    await turn();
    bench.transport.succeed();
    const dead = await first;
    bench.transport.links[0]?.die();
    const next = track(connection.link());
    await bench.clock.pass(1_000);
    bench.transport.succeed();
    await turn();

    expect(next.state).toBe('resolved');
    expect(next.value).not.toBe(dead);
    expect(connection.current).toBe(next.value);
  });

  it('waits longer after each loss, and less again after half a minute', async () => {
    const bench = new ConnectionBench({ isEstablished: true });
    bench.clock.chance = 0.999;
    bench.transport.rule = () => new FakeLink();
    await bench.connection.link();
    const delays: number[] = [];
    for (const openForMs of [0, 0, 0, 29_000, 31_000]) {
      await bench.clock.pass(openForMs);
      bench.transport.links.at(-1)?.die();
      await turn();
      delays.push(Math.round(bench.clock.nextInMs ?? 0));
      await bench.clock.pass(bench.clock.nextInMs ?? 0);
      await turn();
    }

    expect(delays).toEqual([99, 199, 399, 799, 99]);
  });
});

describe('a start', () => {
  it.each(['ACCESS_REFUSED', 'VHOST_NOT_FOUND', 'TLS_REFUSED', 'INVALID_URL'] as const)(
    'is given up at once for %s',
    async (code) => {
      const bench = new ConnectionBench();
      bench.transport.rule = () => failure(code, 'no way');
      const { connection } = bench;
      const error = await rejectionOf(connection.link());

      expect(error).toBeInstanceOf(ConnectionError);
      expect(error).toMatchObject({
        code,
        message: 'Could not connect to RabbitMQ (amqp://a:5672: no way)',
        attempts: [{ address: 'amqp://a:5672', reason: 'no way' }],
      });
      expect(connection.state).toEqual({ status: 'idle', error });
      expect(bench.transport.dials).toHaveLength(1);
      expect(bench.clock.armed).toBe(0);
    },
  );

  it('is given up after its time, and says why each address failed', async () => {
    const bench = new ConnectionBench({ addresses: ['a', 'b'], startupTimeoutMs: 5_000 });
    bench.transport.rule = (address) => (address === 'a' ? REFUSED : failure('CONNECTION_FAILED', 'reset'));
    const linking = track(bench.connection.link());
    await bench.clock.pass(4_800);
    const before = linking.state;
    await bench.clock.pass(300);

    expect(before).toBe('pending');
    expect(linking.error).toMatchObject({ code: 'CONNECTION_FAILED', retryable: true });
    expect(
      (linking.error as ConnectionError).attempts.toSorted((x, y) => x.address.localeCompare(y.address)),
    ).toEqual([
      { address: 'a', reason: 'ECONNREFUSED' },
      { address: 'b', reason: 'reset' },
    ]);
    expect(bench.transport.dials.length).toBeGreaterThan(4);
  });

  it('may last forever', async () => {
    const bench = new ConnectionBench({ startupTimeoutMs: Number.POSITIVE_INFINITY });
    bench.transport.rule = () => REFUSED;
    const linking = track(bench.connection.link());
    await bench.clock.pass(300_000);

    expect(linking.state).toBe('pending');
  });

  it('that was given up begins again when a link is requested', async () => {
    const bench = new ConnectionBench();
    bench.transport.rule = (_, count) => (count === 1 ? failure('ACCESS_REFUSED') : new FakeLink());
    const { connection } = bench;
    await rejectionOf(connection.link());

    const link = await connection.link();

    expect(link).toBe(bench.transport.links[0]);
  });

  it('goes on whatever the cause when the broker was connected before', async () => {
    const bench = new ConnectionBench({ isEstablished: true, startupTimeoutMs: 10 });
    bench.transport.rule = (_, count) => (count < 4 ? failure('ACCESS_REFUSED') : new FakeLink());
    const linking = track(bench.connection.link());
    await bench.clock.pass(60_000);

    expect(linking.state).toBe('resolved');
  });

  it('is one failure when no address can be connected to: the worst decides', async () => {
    const bench = new ConnectionBench({ addresses: ['a', 'b'] });
    bench.transport.rule = (address) => (address === 'a' ? REFUSED : failure('VHOST_NOT_FOUND'));

    expect(await rejectionOf(bench.connection.link())).toMatchObject({ code: 'VHOST_NOT_FOUND' });
  });
});
