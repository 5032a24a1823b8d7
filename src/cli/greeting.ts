import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { classifyVhostRefusal } from '../transport/failures.js';
import { VERSION } from '../version.js';
import {
  frame,
  longString,
  METHOD,
  type Method,
  PROTOCOL_HEADER,
  shortString,
  tableOf,
  takeFrame,
  textsOf,
  uint32,
} from './amqp-frames.js';
import { noConnection } from './failure.js';
import type { Where } from './server-address.js';
import { printable } from './text.js';

/** What a server reports before a connection is open. */
export interface Greeting {
  /** The version as the server reports it: `4.3.1`. */
  readonly version: string;
  /** The proposed heartbeat in seconds; 0: none. */
  readonly heartbeatSeconds: number;
  /** Whether the virtual host can be used, or the server's words about why not. */
  readonly vhost:
    | { readonly status: 'open' }
    | { readonly status: 'not-found' | 'refused'; readonly reason: string };
}

/** The time limit of the whole exchange. */
const TIMEOUT_MS = 9_000;

/**
 * Performs the handshake with the server once, and closes: a command then fails at once, with the server's own words, where a
 * long-lived client would keep trying. The client library reports neither the server's heartbeat nor, over TLS, why it
 * refuses a virtual host.
 *
 * @throws CommandFailure with the exit code for no connection
 */
export async function greet(where: Where, signal: AbortSignal): Promise<Greeting> {
  signal.throwIfAborted();
  const deadline = AbortSignal.timeout(TIMEOUT_MS);
  const stop = AbortSignal.any([signal, deadline]);
  const socket = dial(where);
  const abandon = () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`));
  stop.addEventListener('abort', abandon, { once: true });
  try {
    return await shakeHands(socket, where);
  } catch (error) {
    signal.throwIfAborted();
    throw noConnection(`could not connect to ${where.label}: ${reasonOf(error)}`);
  } finally {
    stop.removeEventListener('abort', abandon);
    socket.destroy();
  }
}

function dial({ secure, hostname, port }: Where): Socket {
  if (!secure) return connectTcp({ host: hostname, port });
  return connectTls({ host: hostname, port, ...(isIP(hostname) === 0 ? { servername: hostname } : {}) });
}

async function shakeHands(socket: Socket, { username, password, vhost, secure }: Where): Promise<Greeting> {
  const methods = methodsOf(socket);
  const next = async (): Promise<Method> => {
    const { value, done } = await methods.next();
    if (done) throw new Error('the server closed the connection');
    return value;
  };
  socket.once(secure ? 'secureConnect' : 'connect', () => socket.write(PROTOCOL_HEADER));
  const { fields } = expectMethod(await next(), METHOD.start);
  const properties = textsOf(fields.subarray(2));
  socket.write(
    frame(
      METHOD.startOk,
      tableOf({
        product: 'leveret',
        version: VERSION,
        connection_name: 'leveret (command)',
        // So that the server answers wrong credentials, instead of being silent.
        capabilities: { authentication_failure_close: true },
      }),
      shortString('PLAIN'),
      longString(`\u0000${username}\u0000${password}`),
      shortString('en_US'),
    ),
  );
  const tune = expectMethod(await next(), METHOD.tune).fields;
  const heartbeatSeconds = tune.readUInt16BE(6);
  socket.write(frame(METHOD.tuneOk, tune.subarray(0, 6), Buffer.from([0, 0])));
  socket.write(frame(METHOD.open, shortString(vhost), Buffer.from([0, 0])));
  const greeting = { version: properties.get('version') ?? 'unknown', heartbeatSeconds };
  const answer = await next();
  if (answer.id === METHOD.close) {
    socket.end(frame(METHOD.closeOk));
    return { ...greeting, vhost: refusalOf(answer) };
  }
  expectMethod(answer, METHOD.openOk);
  socket.end(frame(METHOD.close, Buffer.from([0, 200]), shortString('bye'), uint32(0)));
  return { ...greeting, vhost: { status: 'open' } };
}

/** The methods that arrive, until the socket ends. Throws the reason of its end. */
async function* methodsOf(socket: Socket): AsyncGenerator<Method> {
  let bytes: Buffer = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    bytes = Buffer.concat([bytes, chunk]);
    // A server that speaks another version answers with the header of its own.
    if (bytes.subarray(0, 4).toString('latin1') === 'AMQP')
      throw new Error('the server does not speak AMQP 0-9-1');
    for (let taken = takeFrame(bytes); taken; taken = takeFrame(bytes)) {
      bytes = taken.rest;
      if (taken.method) yield taken.method;
    }
  }
}

function expectMethod(method: Method, id: number): Method {
  if (method.id === id) return method;
  if (method.id !== METHOD.close) throw new Error('the server does not speak AMQP 0-9-1');
  throw new Error(closeText(method));
}

function closeText({ fields }: Method): string {
  return `${fields.toString('utf8', 3, 3 + fields.readUInt8(2))} (${fields.readUInt16BE(0)})`;
}

function refusalOf(close: Method): Greeting['vhost'] {
  const reason = closeText(close);
  switch (classifyVhostRefusal(reason)) {
    case 'missing':
      return { status: 'not-found', reason };
    case 'access':
      return { status: 'refused', reason };
    // Such as a limit of connections, or a virtual host that is down: there is nothing to look at.
    default:
      throw new Error(reason);
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) {
    return [...new Set(error.errors.map((it) => reasonOf(it)))].join(', ');
  }
  const { message, code } = Object(error) as { readonly message?: unknown; readonly code?: unknown };
  return printable(typeof message === 'string' && message !== '' ? message : String(code ?? error));
}
