import { describe, expect, it } from 'vitest';
import type { QueueConsumer } from '../../../../src/transport/memory/consumers.js';
import type { StoredMessage } from '../../../../src/transport/memory/message.js';
import { MemoryStream } from '../../../../src/transport/memory/stream.js';
import { BEHAVIOURS } from '../../../../src/transport/memory/version.js';
import { FakeClock } from '../../support/fake-clock.js';

const clock = new FakeClock();

function streamOf(args: Readonly<Record<string, unknown>>): MemoryStream {
  const declaration = { name: 's', durable: true, exclusive: false, autoDelete: false };
  return new MemoryStream({ ...declaration, arguments: args }, { clock, behaviour: BEHAVIOURS['4.3'] });
}

function write(stream: MemoryStream, count: number, bytes = 10): void {
  const message = { content: Buffer.alloc(bytes) } as unknown as StoredMessage;
  for (let n = 0; n < count; n++) stream.enqueue(message);
}

/** The offsets that a reader gets from here. */
function read(stream: MemoryStream, offset: unknown): number[] {
  const offsets: number[] = [];
  const reader = {
    arguments: { 'x-stream-offset': offset },
    hasRoom: () => true,
    deliver: ({ sequence }: { sequence: number }) => offsets.push(sequence),
  };
  stream.addConsumer(reader as unknown as QueueConsumer);
  return offsets;
}

describe('a stream in memory', () => {
  it('keeps as many whole segments as its length allows, and always the newest', () => {
    const stream = streamOf({ 'x-max-length-bytes': 60, 'x-stream-max-segment-size-bytes': 30 });
    write(stream, 20);
    expect(read(stream, 'first')[0]).toBe(12);
    expect(read(stream, 3)[0]).toBe(12);
    expect(stream.readyCount).toBe(8);
  });

  it('keeps whole segments as long as its age allows, looking when one is full', () => {
    const stream = streamOf({ 'x-max-age': '1h', 'x-stream-max-segment-size-bytes': 30 });
    write(stream, 3);
    clock.advance(3_700_000);
    const before = stream.readyCount;
    write(stream, 1);
    expect({ before, after: read(stream, 'first') }).toEqual({ before: 3, after: [3] });
  });

  it('finds the first message since a time', () => {
    const stream = streamOf({});
    write(stream, 2);
    clock.advance(60_000);
    write(stream, 2);
    const since = (ms: number) => ({ '!': 'timestamp', value: Math.floor((clock.wallNow() - ms) / 1_000) });
    expect(read(stream, since(30_000))).toEqual([2, 3]);
    expect(read(stream, since(90_000))).toEqual([0, 1, 2, 3]);
    expect(read(stream, since(-90_000))).toEqual([]);
  });
});
