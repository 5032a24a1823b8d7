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
  openTo(proxy: TcpProxy): number {
    return this.#to(proxy).filter(({ socket }) => !socket.destroyed).length;
  }

  /** How many were dialled to a proxy: it accepts one in each turn of the event loop, and so some of them late. */
  countTo(proxy: TcpProxy): number {
    return this.#to(proxy).length;
  }

  [Symbol.dispose](): void {
    unsubscribe('net.client.socket', this.#onSocket);
  }

  #to({ port }: TcpProxy) {
    return this.#dialled.filter((it) => it.port === port);
  }

  readonly #onSocket = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket };
    const entry: { socket: Socket; port: number | undefined } = { socket, port: undefined };
    socket.once('connectionAttempt', (_address: string, port: number) => {
      entry.port = port;
    });
    this.#dialled.push(entry);
  };
}
