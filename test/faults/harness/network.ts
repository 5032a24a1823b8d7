import { type Direction, TcpProxy } from '../../helpers/tcp-proxy.js';
import { Observer } from './observer.js';
import type { Random } from './random.js';

const FRAME_END = 0xce;

/** The network between the programs and the server: observed, and made to fail in ways that depend on the bytes. */
export class Network implements AsyncDisposable {
  readonly proxy: TcpProxy;
  readonly observer = new Observer();
  readonly #random: Random;
  #isSliced = false;
  #cut: { readonly direction: Direction; leftBytes: number } | undefined;
  #corrupt: Direction | undefined;

  static async listen(serverUrl: string, random: Random): Promise<Network> {
    return new Network(await TcpProxy.listen(serverUrl), random);
  }

  private constructor(proxy: TcpProxy, random: Random) {
    this.proxy = proxy;
    this.#random = random;
    proxy.intercept((chunk, direction, connection) => {
      this.observer.read(chunk, direction, connection);
      return this.#mutate(chunk, direction, connection);
    });
  }

  /** Passes everything on in slices of 1 to 7 bytes. */
  slice(on: boolean): void {
    this.#isSliced = on;
  }

  /** Resets the connection on which so many bytes from now pass, in the middle of them. */
  cutAfter(direction: Direction, bytes: number): void {
    this.#cut = { direction, leftBytes: bytes };
  }

  /** Destroys the end of the next frame. */
  corruptNext(direction: Direction): void {
    this.#corrupt = direction;
  }

  /** True while {@link cutAfter} or {@link corruptNext} have not come about. */
  get isArmed(): boolean {
    return this.#cut !== undefined || this.#corrupt !== undefined;
  }

  /** Everything as it should be. Connections that were frozen go on. */
  async heal(): Promise<void> {
    this.#isSliced = false;
    this.#cut = undefined;
    this.#corrupt = undefined;
    const { proxy } = this;
    proxy.delay(0);
    proxy.throttle(undefined);
    proxy.blackhole(false);
    proxy.thaw();
    await proxy.refuse(false);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.proxy.close();
  }

  #mutate(chunk: Buffer, direction: Direction, connection: number): Buffer[] {
    const cut = this.#cut;
    if (cut?.direction === direction) {
      if (chunk.length > cut.leftBytes) {
        this.#cut = undefined;
        setImmediate(() => this.proxy.cut(connection));
        return [chunk.subarray(0, cut.leftBytes)];
      }
      cut.leftBytes -= chunk.length;
    }
    if (this.#corrupt === direction && chunk.at(-1) === FRAME_END) {
      this.#corrupt = undefined;
      const corrupt = Buffer.from(chunk);
      corrupt[corrupt.length - 1] = 0;
      return [corrupt];
    }
    return this.#isSliced ? this.#slices(chunk) : [chunk];
  }

  #slices(chunk: Buffer): Buffer[] {
    const slices: Buffer[] = [];
    for (let at = 0; at < chunk.length; ) {
      const next = at + this.#random.integer(1, 7);
      slices.push(chunk.subarray(at, next));
      at = next;
    }
    return slices;
  }
}
