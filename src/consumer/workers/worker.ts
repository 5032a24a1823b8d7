import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';

/** Measures how long work on a message takes. */
export interface Meter {
  begun(message: ReceivedMessage): void;
  ended(message: ReceivedMessage): void;
}

/** Takes the messages out of a consumer's buffer: its handler, or the loops over it. */
export interface Worker {
  /** The number of messages in work. */
  readonly inFlight: number;
  /** The number of messages taken ahead of their turn. */
  readonly waiting?: number;
  /** Takes as many messages as it has room for. Called whenever a message has arrived. */
  fill(): void;
  /** The deliveries of a session are lost: aborts the work on them, and makes room. */
  sessionLost(session: Session, reason: Error): void;
  /** Removes the messages that were taken ahead of their turn and returns them in order of arrival, to be taken elsewhere. */
  drain?(): readonly ReceivedMessage[];
  /** Takes a message for another run, in the place of the one whose run failed. */
  runAgain?(message: ReceivedMessage, failed: ReceivedMessage): void;
  /** Resolves when no message is in work. */
  idle(): Promise<void>;
  /** Starts nothing new, and resolves when its running work has finished. */
  finish(): Promise<void>;
  /** Aborts its running work, and does not wait for it any longer. */
  abort(reason: Error): void;
}
