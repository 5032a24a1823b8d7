import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { TcpProxy } from './tcp-proxy.js';

/** The sockets that this process dials from now on: a proxy in which nothing passes does not see that one is gone. */
export class DialledSockets implements Disposable {
  readonly #dialled: { readonly socket: Socket; port: number | undefined }[] = [];

  constructor() {
    subscribe('net.client.socket', this.#onSocket);
  }

  /** How many of them are open to a proxy. */
  openTo({ port }: TcpProxy): number {
    return this.#dialled.filter((it) => it.port === port && !it.socket.destroyed).length;
  }

  [Symbol.dispose](): void {
    unsubscribe('net.client.socket', this.#onSocket);
  }

  readonly #onSocket = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket };
    const entry: { socket: Socket; port: number | undefined } = { socket, port: undefined };
    socket.once('connect', () => {
      entry.port = socket.remotePort;
    });
    this.#dialled.push(entry);
  };
}
