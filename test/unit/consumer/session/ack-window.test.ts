import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AckWindow } from '../../../../src/consumer/session/ack-window.js';

/** What a server knows: each delivery is unsettled until a frame settles it, and a frame about another one is an error. */
class Server {
  readonly frames: string[] = [];
  readonly unsettled = new Set<number>();
  /** Those whose acknowledgement was asked for. */
  readonly asked = new Set<number>();

  ack(tag: number, multiple: boolean): void {
    const frame = `${multiple ? '..' : ''}${tag}`;
    this.frames.push(frame);
    if (!this.unsettled.has(tag)) throw new Error(`${frame}: there is no such delivery`);
    for (const it of multiple ? [...this.unsettled].filter((other) => other <= tag) : [tag]) {
      if (!this.asked.has(it)) throw new Error(`${frame}: ${it} was never to be acknowledged`);
      this.unsettled.delete(it);
    }
  }
}

function windowOf(count: number) {
  const server = new Server();
  const window = new AckWindow(server);
  for (let tag = 1; tag <= count; tag++) {
    window.delivered(tag);
    server.unsettled.add(tag);
  }
  const ack = (...tags: number[]) => {
    for (const tag of tags) {
      server.asked.add(tag);
      window.ack(tag);
    }
  };
  const settled = (...tags: number[]) => {
    for (const tag of tags) {
      server.unsettled.delete(tag);
      window.settled(tag);
    }
  };
  return { server, window, ack, settled };
}

describe('an ack window', () => {
  it('acknowledges a run at the head with one frame', () => {
    const { server, window, ack } = windowOf(4);
    ack(2, 1, 3);

    window.flush();

    expect(server.frames).toEqual(['..3']);
  });

  it('acknowledges one by one beyond the first that is unsettled', () => {
    const { server, window, ack } = windowOf(6);
    ack(1, 3, 5);

    window.flush();

    expect(server.frames).toEqual(['1', '3', '5']);
  });

  it('goes beyond deliveries that were rejected in frames of their own', () => {
    const { server, window, ack, settled } = windowOf(4);
    settled(1, 3);
    ack(2, 4);

    window.flush();

    expect(server.frames).toEqual(['..4']);
    expect(window.isEmpty).toBe(true);
  });

  it('never ends a run with a delivery that was rejected', () => {
    const { server, window, ack, settled } = windowOf(3);
    ack(1, 2);
    settled(3);

    window.flush();

    expect(server.frames).toEqual(['..2']);
  });

  it('sends nothing for deliveries that were all rejected', () => {
    const { server, window, settled } = windowOf(2);
    settled(1, 2);

    window.flush();

    expect(server.frames).toEqual([]);
  });

  it('sends nothing twice', () => {
    const { server, window, ack } = windowOf(2);
    ack(1);
    window.flush();

    window.flush();

    expect(server.frames).toEqual(['1']);
  });

  it('is empty once everything is settled on the wire', () => {
    const { window, ack } = windowOf(1);
    ack(1);
    const gathered = window.isEmpty;
    window.flush();

    expect({ gathered, isEmpty: window.isEmpty }).toEqual({ gathered: false, isEmpty: true });
  });

  it('holds on to nothing where everything is rejected and nothing ever acknowledged', () => {
    const { window, settled } = windowOf(3);
    settled(2, 1, 3);

    expect(window.isEmpty).toBe(true);
  });

  it.each([
    ['settled twice', [1, 1]],
    ['never delivered', [3]],
    ['zero', [0]],
  ])('refuses a tag that is %s', (_, tags) => {
    const { ack } = windowOf(2);

    expect(() => ack(...tags)).toThrow(RangeError);
  });

  it('refuses a tag that was acknowledged and sent, or rejected', () => {
    const { window, ack, settled } = windowOf(3);
    ack(1);
    window.flush();
    settled(2);

    expect(() => window.ack(1)).toThrow(RangeError);
    expect(() => window.ack(2)).toThrow(RangeError);
    expect(() => window.settled(2)).toThrow(RangeError);
  });

  it('refuses a delivery out of order', () => {
    const { window } = windowOf(2);

    expect(() => window.delivered(4)).toThrow(RangeError);
  });

  it('holds far more deliveries than it was made for', () => {
    const { server, window, ack } = windowOf(3_000);
    ack(3_000, 1, 2);

    window.flush();

    expect(server.frames).toEqual(['..2', '3000']);
  });

  it('throws what the channel throws', () => {
    const window = new AckWindow({
      ack: () => {
        throw new Error('the channel is closed');
      },
    });
    window.delivered(1);
    window.ack(1);

    expect(() => window.flush()).toThrow('the channel is closed');
  });

  it('tells a server exactly what was acknowledged, whatever comes in whatever order', () => {
    const at = fc.nat(10_000);
    const count = fc.oneof(
      { weight: 9, arbitrary: fc.integer({ min: 1, max: 4 }) },
      { weight: 1, arbitrary: fc.constant(300) },
    );
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('deliver' as const), count }) },
      { weight: 9, arbitrary: fc.record({ do: fc.constant('ack' as const), at }) },
      { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const), at }) },
      { weight: 3, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
    );
    const property = fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
      const { server, window, ack, settled } = windowOf(0);
      let next = 1;
      /** Neither acknowledged nor rejected. */
      const open: number[] = [];
      /** Often the oldest one, as it is in life, so that the window moves on. */
      const take = (at: number) => open.splice(at % 3 === 0 ? at % open.length : 0, 1)[0];
      for (const it of steps) {
        if (it.do === 'deliver') {
          for (let count = it.count; count > 0; count--) {
            server.unsettled.add(next);
            open.push(next);
            window.delivered(next++);
          }
        } else if (it.do === 'flush') {
          window.flush();
          if (server.unsettled.size !== open.length)
            throw new Error('not everything that was asked for was sent');
        } else if (open.length > 0) {
          const tag = take(it.at) as number;
          if (it.do === 'ack') ack(tag);
          else settled(tag);
        }
      }
      ack(...open.splice(0));
      window.flush();

      expect([...server.unsettled]).toEqual([]);
      expect(window.isEmpty).toBe(true);
    });

    fc.assert(property, { numRuns: 100 });
  });
});
