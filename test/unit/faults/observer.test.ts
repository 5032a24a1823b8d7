import { describe, expect, it } from 'vitest';
import { Observer } from '../../faults/harness/observer.js';

const short = (text: string) => Buffer.concat([Buffer.of(text.length), Buffer.from(text)]);
const long = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};

function frame(type: number, channel: number, payload: Buffer, end = 0xce): Buffer {
  const head = Buffer.alloc(7);
  head.writeUInt8(type, 0);
  head.writeUInt16BE(channel, 1);
  head.writeUInt32BE(payload.length, 3);
  return Buffer.concat([head, payload, Buffer.of(end)]);
}

const method = (channel: number, [group, id]: readonly [number, number], ...rest: readonly Buffer[]) =>
  frame(1, channel, Buffer.concat([Buffer.of(0, group, 0, id), ...rest]));

const startOk = (name: string) =>
  method(0, [10, 11], Buffer.from('connection_nameS'), Buffer.alloc(4), Buffer.from(`${name} (consume)`));
const open = (channel: number) => method(channel, [20, 10], short(''));
const ack = (channel: number, tag: number, isMultiple = false) =>
  method(channel, [60, 80], long(tag), Buffer.of(isMultiple ? 1 : 0));
const reject = (channel: number, tag: number) => method(channel, [60, 90], long(tag), Buffer.of(1));
const nack = (channel: number, tag: number, isMultiple = false) =>
  method(channel, [60, 120], long(tag), Buffer.of(isMultiple ? 3 : 2));

function delivery(channel: number, tag: number, k: string, isMarked = false): Buffer {
  const body = Buffer.from(JSON.stringify({ k, kind: 'plain', pad: 'x'.repeat(50) }));
  const at = body.length - 20;
  return Buffer.concat([
    method(channel, [60, 60], short('tag'), long(tag), Buffer.of(isMarked ? 1 : 0), short(''), short('work')),
    frame(2, channel, Buffer.concat([Buffer.of(0, 60, 0, 0), long(body.length), Buffer.of(0, 0)])),
    frame(3, channel, body.subarray(0, at)),
    frame(3, channel, body.subarray(at)),
  ]);
}

/** An observer of one connection, on which a program has opened channel 1. */
function observed() {
  const observer = new Observer();
  const toServer = (...frames: readonly Buffer[]) => {
    for (const it of frames) observer.read(it, 'to-server', 1);
  };
  const toClient = (...frames: readonly Buffer[]) => {
    for (const it of frames) observer.read(it, 'to-client', 1);
  };
  toServer(Buffer.concat([Buffer.from('AMQP\0\0\x09\x01', 'latin1'), startOk('consumer-1')]), open(1));
  return { observer, toServer, toClient };
}

describe('the observer of the wire', () => {
  it('tells which message a verdict is about, by the channel that it came on', () => {
    const { observer, toServer, toClient } = observed();
    toServer(open(2));
    toClient(delivery(1, 1, 'a'), delivery(2, 1, 'b'), delivery(1, 2, 'c'));
    toServer(ack(2, 1), reject(1, 2), ack(1, 1));
    expect(observer.verdicts).toMatchObject([
      { kind: 'ack', program: 'consumer-1', channel: 2, k: 'b' },
      { kind: 'reject', program: 'consumer-1', channel: 1, k: 'c' },
      { kind: 'ack', program: 'consumer-1', channel: 1, k: 'a' },
    ]);
    expect(observer.violations).toEqual([]);
  });

  it('takes a multiple acknowledgement for one of each message up to its tag', () => {
    const { observer, toServer, toClient } = observed();
    toClient(...['a', 'b', 'c', 'd'].map((k, n) => delivery(1, n + 1, k)));
    toServer(ack(1, 2), ack(1, 3, true), nack(1, 0, true));
    expect(observer.verdicts.map(({ k }) => k)).toEqual(['b', 'a', 'c']);
    expect(observer.violations).toEqual([]);
  });

  it.each([
    ['that was never delivered', ack(1, 7)],
    ['that has its verdict', ack(1, 1)],
    ['that was rejected and has its verdict', reject(1, 1)],
    ['of another channel', ack(2, 2)],
    ['with all before it, of which there are none', ack(2, 0, true)],
  ])('notes a verdict on a delivery tag %s', (_which, verdict) => {
    const { observer, toServer, toClient } = observed();
    toServer(open(2));
    toClient(delivery(1, 1, 'a'), delivery(1, 2, 'b'));
    toServer(ack(1, 1));
    expect(observer.violations).toEqual([]);
    toServer(verdict);
    expect(observer.violations).toEqual([expect.stringMatching(/^consumer-1 .*unknown delivery tag/)]);
  });

  it('forgets the tags of a channel when one with its number is opened again', () => {
    const { observer, toServer, toClient } = observed();
    toClient(delivery(1, 1, 'a'));
    toServer(open(1), ack(1, 1));
    expect(observer.violations).toHaveLength(1);
    expect(observer.verdicts).toEqual([]);
  });

  it('notes that the server says so', () => {
    const { observer, toClient } = observed();
    const text = 'PRECONDITION_FAILED - unknown delivery tag 1';
    toClient(method(1, [20, 40], Buffer.of(1, 150), short(text), Buffer.alloc(4)));
    toClient(method(1, [20, 40], Buffer.of(1, 148), short('NOT_FOUND - no queue'), Buffer.alloc(4)));
    expect(observer.violations).toEqual([`the server to consumer-1: ${text}`]);
  });

  it('counts how often a message came, and how often without a mark', () => {
    const { observer, toClient } = observed();
    toClient(delivery(1, 1, 'a'), delivery(1, 2, 'a', true), delivery(1, 3, 'b', true));
    expect(Object.fromEntries(observer.deliveries)).toEqual({
      'consumer-1 a': { all: 2, unmarked: 1 },
      'consumer-1 b': { all: 1, unmarked: 0 },
    });
  });

  it('reads the same however the bytes are cut, and notes a frame without an end', () => {
    const { observer, toServer, toClient } = observed();
    for (const byte of delivery(1, 1, 'a')) toClient(Buffer.of(byte));
    for (const byte of ack(1, 1)) toServer(Buffer.of(byte));
    expect(observer.verdicts).toMatchObject([{ k: 'a' }]);
    expect(observer.violations).toEqual([]);
    toServer(frame(1, 1, Buffer.alloc(12), 0));
    expect(observer.violations).toEqual([expect.stringMatching(/a frame to-server has no end/)]);
  });
});
