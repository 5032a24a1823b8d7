import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { freePort } from './server/ports.js';

/** Which way bytes flow. */
export type Direction = 'to-server' | 'to-client';

/**
 * Sees every chunk and returns what is sent in its place: other bytes, more and smaller chunks, or none. Connections are
 * numbered from 1, in the order in which they were accepted.
 */
export type Intercept = (chunk: Buffer, direction: Direction, connection: number) => Iterable<Buffer>;

/**
 * A TCP proxy on the loopback interface that makes a network fail on command.
 *
 * It is transparent until told otherwise: an orderly end is passed on as one, a reset as a reset.
 */
export class TcpProxy implements AsyncDisposable {
  /** Where clients connect. */
  readonly port: number;
  /** Connections accepted since the start. */
  accepted = 0;
  /** Bytes passed on since the start. */
  readonly bytes: Record<Direction, number> = { 'to-server': 0, 'to-client': 0 };
  readonly #target: { readonly host: string; readonly port: number };
  readonly #pairs = new Set<Pair>();
  readonly #settings: Settings = { delayMs: 0, holes: new Set() };
  #server: Server | undefined;

  /** Starts one in front of a server, given as a URL or as host and port. */
  static async listen(target: string | { host: string; port: number }): Promise<TcpProxy> {
    const proxy = new TcpProxy(typeof target === 'string' ? addressOf(target) : target, await freePort());
    await proxy.refuse(false);
    return proxy;
  }

  private constructor(target: { host: string; port: number }, port: number) {
    this.#target = target;
    this.port = port;
  }

  /** The same URL, by way of this proxy. */
  via(url: string): string {
    const proxied = new URL(url);
    proxied.hostname = '127.0.0.1';
    proxied.port = `${this.port}`;
    return proxied.href;
  }

  /** Connections open now, frozen ones included. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Resets every connection, both ways (RST). New ones are accepted. */
  cutAll(): void {
    for (const pair of this.#pairs) pair.reset();
  }

  /** Resets one connection, both ways. They are numbered from 1, in the order in which they were accepted. */
  cut(connection: number): void {
    for (const pair of this.#pairs) if (pair.number === connection) pair.reset();
  }

  /** Ends every connection in order, both ways (FIN). New ones are accepted. */
  endAll(): void {
    for (const pair of this.#pairs) pair.end();
  }

  /**
   * Stops passing bytes on, both ways or one way, for present and future connections. Sockets stay open, and neither
   * side learns that the other has gone. With `false` everything held goes on.
   */
  blackhole(on: boolean | Direction): void {
    this.#settings.holes = new Set(on === true ? directions : on === false ? [] : [on]);
    this.#update();
  }

  /** Black-holes the connections open now until {@link thaw}, or until they are cut; later ones work. */
  freeze(): void {
    for (const pair of this.#pairs) pair.frozen = true;
    this.#update();
  }

  thaw(): void {
    for (const pair of this.#pairs) pair.frozen = false;
    this.#update();
  }

  /** Closes the listening port, or opens it again. Connections that are open stay. */
  async refuse(on: boolean): Promise<void> {
    const server = this.#server;
    if (on) {
      this.#server = undefined;
      server?.close();
      return;
    }
    if (server) return;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true }, (client) =>
      this.#accept(client),
    );
    this.#server.listen(this.port, '127.0.0.1');
    await once(this.#server, 'listening');
  }

  /** Holds every chunk for this long, each way, from now on. Order is kept. */
  delay(ms: number): void {
    this.#settings.delayMs = ms;
  }

  /** Passes no more than this on in a second, each way and for each connection, from now on. */
  throttle(bytesPerSecond: number | undefined): void {
    this.#settings.bytesPerSecond = bytesPerSecond;
  }

  /** Passes every chunk through a function, from now on. */
  intercept(intercept: Intercept | undefined): void {
    this.#settings.intercept = intercept;
  }

  /** Closes the port and resets what is open. */
  async close(): Promise<void> {
    await this.refuse(true);
    this.cutAll();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #accept(client: Socket): void {
    this.accepted++;
    const server = dial({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const count = (direction: Direction, bytes: number) => {
      this.bytes[direction] += bytes;
    };
    const gone = () => this.#pairs.delete(pair);
    const pair = new Pair(client, server, { number: this.accepted, settings: this.#settings, count, gone });
    this.#pairs.add(pair);
  }

  #update(): void {
    for (const pair of this.#pairs) pair.update();
  }
}

const directions: readonly Direction[] = ['to-server', 'to-client'];
/** A lane that holds more than this back stops reading. */
const highWaterBytes = 16 * 1024 * 1024;

interface Settings {
  delayMs: number;
  bytesPerSecond?: number | undefined;
  holes: ReadonlySet<Direction>;
  intercept?: Intercept | undefined;
}

interface PairOptions {
  readonly number: number;
  readonly settings: Settings;
  count(direction: Direction, bytes: number): void;
  gone(): void;
}

/** A client's connection and the one made for it to the server. */
class Pair {
  readonly number: number;
  frozen = false;
  readonly #keyQueues: readonly [Lane, Lane];

  constructor(client: Socket, server: Socket, { number, settings, count, gone }: PairOptions) {
    this.number = number;
    const lane = (direction: Direction, from: Socket, to: Socket) =>
      new Lane(from, to, {
        held: () => this.frozen || settings.holes.has(direction),
        delayMs: (bytes) => settings.delayMs + (bytes * 1_000) / (settings.bytesPerSecond ?? Infinity),
        isThrottled: () => settings.bytesPerSecond !== undefined,
        pass: (chunk) => {
          count(direction, chunk.length);
          return settings.intercept?.(chunk, direction, number) ?? [chunk];
        },
      });
    this.#keyQueues = [lane('to-server', client, server), lane('to-client', server, client)];
    let open = 2;
    for (const socket of [client, server]) {
      socket.once('close', () => {
        if (--open === 0) gone();
      });
    }
  }

  update(): void {
    for (const lane of this.#keyQueues) lane.update();
  }

  reset(): void {
    for (const lane of this.#keyQueues) lane.reset();
  }

  end(): void {
    for (const lane of this.#keyQueues) lane.end();
  }
}

interface LaneRules {
  held(): boolean;
  /** How long so many bytes take. */
  delayMs(bytes: number): number;
  /** Each chunk waits for the one before. */
  isThrottled(): boolean;
  pass(chunk: Buffer): Iterable<Buffer>;
}

/** What waits in a lane: bytes, or the way in which the sending side ended. */
interface Item {
  readonly due: number;
  readonly content: Buffer | 'end' | 'reset';
}

/** One direction of a pair. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #rules: LaneRules;
  readonly #waiting: Item[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #lastDue = 0;

  constructor(from: Socket, to: Socket, rules: LaneRules) {
    this.#from = from;
    this.#to = to;
    this.#rules = rules;
    from.on('data', (chunk: Buffer) => this.#push(chunk));
    from.once('end', () => this.#push('end'));
    from.on('error', () => this.#push('reset'));
    to.on('drain', () => this.update());
    to.once('close', () => this.#clear());
    this.update();
  }

  /** Sends on what may go now, and reads more if there is room. */
  update(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    while (!this.#rules.held() && !this.#to.writableNeedDrain) {
      const [item] = this.#waiting;
      if (item === undefined) break;
      const wait = item.due - performance.now();
      if (wait > 0) {
        this.#timer = setTimeout(() => this.update(), Math.ceil(wait));
        break;
      }
      this.#waiting.shift();
      this.#send(item.content);
    }
    const full = this.#to.writableNeedDrain || this.#waitingBytes > highWaterBytes;
    if (this.#rules.held() || full) this.#from.pause();
    else this.#from.resume();
  }

  end(): void {
    this.#to.end();
  }

  reset(): void {
    this.#clear();
    reset(this.#to);
  }

  #push(content: Item['content']): void {
    if (this.#to.destroyed) return;
    const bytes = content instanceof Buffer ? content.length : 0;
    const begin = this.#rules.isThrottled() ? Math.max(performance.now(), this.#lastDue) : performance.now();
    const due = begin + this.#rules.delayMs(bytes);
    this.#lastDue = due;
    this.#waiting.push({ content, due });
    this.#waitingBytes += bytes;
    this.update();
  }

  #send(content: Item['content']): void {
    if (content === 'reset') {
      reset(this.#to);
    } else if (content === 'end') {
      this.#to.end();
    } else {
      this.#waitingBytes -= content.length;
      for (const part of this.#rules.pass(content)) this.#to.write(part);
    }
  }

  #clear(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
    // No receiver is left, and a paused socket would never notice its own end.
    this.#from.resume();
  }
}

/** A reset while an orderly end is under way is refused by the system: Node would then lose the socket and leave it open. */
function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}

function addressOf(url: string): { host: string; port: number } {
  const { hostname, port, protocol } = new URL(url);
  return { host: hostname, port: Number(port) || (protocol === 'amqps:' ? 5671 : 5672) };
}
