// No client, but a bound for all: frames that were encoded before the measurement, and no acknowledgements. What a client costs
// more than this is its own work; what this costs is the socket's.
import { connectionsTo } from './amqplib-connections.mjs';
import { argumentsOf, bodyOf } from './common.mjs';

const BODY = Buffer.from(JSON.stringify(bodyOf(123_456)));
const FRAMES_AHEAD = 1_000;
const BASIC_ACK = 0x003c0050;
const METHOD_FRAME = 1;
const BODY_FRAME = 3;

export async function open({ url, queue, type }) {
  const connections = connectionsTo(url);
  return {
    async sender() {
      const link = await connections.open();
      const channel = await link.createConfirmChannel();
      await channel.assertQueue(queue, { durable: true, arguments: argumentsOf(type) });
      const socket = link.connection.stream;
      const frames = publishFrames(channel.ch, queue);
      const ahead = Buffer.concat(new Array(FRAMES_AHEAD).fill(frames));
      const waiting = new Map();
      let [sent, written, confirmed] = [0, 0, 0];
      const flush = () => {
        while (written < sent) {
          const count = Math.min(FRAMES_AHEAD, sent - written);
          socket.write(ahead.subarray(0, count * frames.length));
          written += count;
        }
      };
      readFrames(link.connection, METHOD_FRAME, (bytes, at) => {
        if (bytes.readUInt32BE(at) !== BASIC_ACK) return;
        const tag = Number(bytes.readBigUInt64BE(at + 4));
        const isMultiple = bytes[at + 12] === 1;
        for (let it = isMultiple ? confirmed + 1 : tag; it <= tag; it++) {
          waiting.get(it)?.();
          waiting.delete(it);
        }
        if (isMultiple) confirmed = tag;
      });
      return () =>
        new Promise((resolve) => {
          if (sent === written) process.nextTick(flush);
          waiting.set(++sent, resolve);
        });
    },
    async consume(handle) {
      const link = await connections.open();
      const channel = await link.createChannel();
      await channel.assertQueue(queue, { durable: true, arguments: argumentsOf(type) });
      // The first ones can come together with the answer, to amqplib.
      await channel.consume(queue, () => handle(), { noAck: true });
      // By their bodies: amqplib may have read the beginning of a message.
      readFrames(link.connection, BODY_FRAME, handle);
    },
    close: async () => connections.drop(),
  };
}

/** A persistent message as the others send it: `basic.publish`, header and body. */
function publishFrames(channel, queue) {
  const text = (it) => Buffer.concat([Buffer.from([it.length]), Buffer.from(it)]);
  const uint = (bytes, value) => {
    const it = Buffer.alloc(bytes);
    it.writeUIntBE(value, 0, bytes);
    return it;
  };
  const frame = (type, payload) =>
    Buffer.concat([uint(1, type), uint(2, channel), uint(4, payload.length), payload, Buffer.from([0xce])]);
  const method = Buffer.concat([uint(4, 0x003c0028), uint(2, 0), text(''), text(queue), uint(1, 0)]);
  const header = Buffer.concat([
    uint(4, 0x003c0000),
    uint(4, 0),
    uint(4, BODY.length),
    // Content type and delivery mode.
    uint(2, 0x9000),
    text('application/json'),
    uint(1, 2),
  ]);
  return Buffer.concat([frame(1, method), frame(2, header), frame(3, BODY)]);
}

/** Takes the socket away from amqplib. `onFrame` gets each frame of this type, as bytes and where its payload begins. */
function readFrames(connection, type, onFrame) {
  const { stream } = connection;
  let rest = connection.rest;
  stream.removeAllListeners('readable');
  // The server's own heartbeats wait longer than a measurement takes.
  connection.heartbeater?.clear();
  const read = () => {
    for (let more = stream.read(); more !== null; more = stream.read()) {
      rest = rest.length === 0 ? more : Buffer.concat([rest, more]);
      let at = 0;
      while (rest.length - at >= 7) {
        const end = at + 7 + rest.readUInt32BE(at + 3) + 1;
        if (end > rest.length) break;
        if (rest[at] === type) onFrame(rest, at + 7);
        at = end;
      }
      rest = rest.subarray(at);
    }
  };
  stream.on('readable', read);
  read();
}
