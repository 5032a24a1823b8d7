import { describe, expect, it } from 'vitest';
import { ClosedError } from '../../../../src/errors.js';
import { ConnectionBench } from '../../support/connection-bench.js';
import { turn } from '../../support/fake-clock.js';
import { FakeLink } from '../../support/fake-link.js';
import { REFUSED } from '../../support/fake-transport.js';
import { rejectionOf, track } from '../../support/track.js';

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
