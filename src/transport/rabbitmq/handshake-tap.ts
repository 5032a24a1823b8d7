import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import { vhostRefusalIn } from '../failures.js';

/** The channel on which Node announces each new client socket while `connect` is being called (Node 18.8 and later). */
const NEW_SOCKET = 'net.client.socket';

/** The first bytes of an alert, in every version of TLS (RFC 8446, 5.1). */
const TLS_ALERT = 21;
const TLS_MAJOR = 3;

/** More than any handshake sends. */
const MAX_BYTES = 16 * 1024;

/**
 * Reads the server's bytes during the handshake. When the server refuses a virtual host, amqplib discards its words, and
 * an unknown host, a missing permission and a full connection limit could not be told apart. Over TLS nothing can be read.
 */
export class HandshakeTap {
  #chunks: Buffer[] = [];
  #sizeBytes = 0;
  #socket: Socket | undefined;
  #isConnected = false;

  /** Calls `connect`, which creates a socket before it returns, and reads from that socket. */
  around<T>(connect: () => T): T {
    const onSocket = (message: unknown) => {
      this.#socket ??= (message as { readonly socket?: Socket }).socket;
    };
    subscribe(NEW_SOCKET, onSocket);
    try {
      return connect();
    } finally {
      unsubscribe(NEW_SOCKET, onSocket);
      // Only once amqplib reads: an earlier listener would take the data away from it.
      this.#socket?.once('connect', () => {
        this.#isConnected = true;
        this.#socket?.on('data', this.#onData);
      });
    }
  }

  /** The server's words when it refused the virtual host. */
  get refusal(): string | undefined {
    return vhostRefusalIn(Buffer.concat(this.#chunks).toString('latin1'));
  }

  /** True when the server may expect TLS at this port: it answered with an alert of TLS, or closed without a word. */
  get mayExpectTls(): boolean {
    const [type, version] = Buffer.concat(this.#chunks);
    return this.#isConnected && (type === undefined || (type === TLS_ALERT && version === TLS_MAJOR));
  }

  stop(): void {
    this.#socket?.removeListener('data', this.#onData);
    this.#chunks = [];
  }

  readonly #onData = (chunk: Buffer) => {
    this.#sizeBytes += chunk.length;
    if (this.#sizeBytes <= MAX_BYTES) this.#chunks.push(chunk);
  };
}
