import type { Body } from './workload.js';

/** What a handler is given of a message, by whichever client. */
export interface Received {
  readonly body: Body;
  readonly id: string | undefined;
  readonly attempt: number;
  readonly redelivered: boolean;
}

export type Handler = (message: Received) => Promise<void>;

/** Where a message goes. */
export type Target = 'work' | 'jobs' | 'orders' | 'anything';

export interface SendingClient {
  send(target: Target, body: object): Promise<{ readonly messageId: string | undefined }>;
  readonly pending: number;
  /** Something to ask the server. */
  ask(): Promise<unknown>;
  close(): Promise<{ readonly clean: boolean }>;
}

export interface ConsumingClient {
  close(): Promise<{ readonly clean: boolean }>;
}
