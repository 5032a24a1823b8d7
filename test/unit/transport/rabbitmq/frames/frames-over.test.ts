import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Duplex } from 'node:stream';
import type { ChannelModel } from 'amqplib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { framesOver } from '../../../../../src/transport/rabbitmq/frames/frames-over.js';
import { OwnFrames } from '../../../../../src/transport/rabbitmq/frames/own-frames.js';

const require = createRequire(import.meta.url);
const library = dirname(require.resolve('amqplib'));
const { Connection } = require(join(library, 'lib', 'connection.js')) as {
  Connection: new (stream: Duplex) => Record<string, unknown>;
};

/** A connection of amqplib without a server, with some of its members changed. */
function model(changes: Readonly<Record<string, unknown>> = {}): ChannelModel {
  const stream = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const connection = Object.assign(new Connection(stream), changes);
  return { connection } as unknown as ChannelModel;
}

afterEach(() => vi.unstubAllEnvs());

describe('own frames', () => {
  it('go over a connection of this amqplib', () => {
    expect(OwnFrames.over(model())).toBeInstanceOf(OwnFrames);
  });

  it.each([
    ['stream', {}],
    ['rest', ''],
    ['frameMax', undefined],
    ['channels', new Map()],
    ['sentSinceLastCheck', undefined],
    ['recvSinceLastCheck', undefined],
    ['sendMethod', undefined],
    ['recvFrame', undefined],
    ['recvFrame', () => false],
    ['recvFrame', () => ({ channel: 1 })],
  ])("tell that '%s' is another", (name, value) => {
    expect(OwnFrames.over(model({ [name]: value }))).toBe(`connection.${name}`);
  });

  it('leave alone what amqplib has read when they cannot be', () => {
    const rest = Buffer.from([1, 2, 3]);
    const changed = model({ rest, recvFrame: () => false });
    OwnFrames.over(changed);
    expect((changed.connection as unknown as { rest: Buffer }).rest).toBe(rest);
  });

  it('step aside with one warning, however many connections there are', async () => {
    const warning = once(process, 'warning');
    const emitWarning = vi.spyOn(process, 'emitWarning');
    expect(framesOver(model({ channels: undefined }))).toBeUndefined();
    expect(framesOver(model({ channels: undefined }))).toBeUndefined();
    const [{ message, code }] = (await warning) as [{ message: string; code: string }];
    expect(message).toContain("no 'connection.channels' as Leveret knows it");
    expect(code).toBe('LEVERET_AMQPLIB');
    expect(emitWarning).toHaveBeenCalledTimes(1);
    emitWarning.mockRestore();
  });

  it('step aside without a word when they are told to', () => {
    vi.stubEnv('LEVERET_AMQPLIB_FRAMES', '1');
    expect(framesOver(model())).toBeUndefined();
  });
});
