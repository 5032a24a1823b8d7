import type { ReceivedMessage } from '../delivery/message.js';
import type { Session } from '../session/session.js';

/** What measures how long messages are worked on. */
export interface Meter {
  begun(message: ReceivedMessage): void;
  ended(message: ReceivedMessage): void;
}

/** What takes the messages out of a consumer's buffer: its handler, or the loops over it. */
export interface Worker {
  /** Messages that it works on. */
  readonly inFlight: number;
  /** Messages that it has taken ahead of their turn. */
  readonly waiting?: number;
  /** Takes what it has room for. Called whenever a message has come. */
  fill(): void;
  /** The deliveries of a session are lost: aborts the work on them, and makes room. */
  sessionLost(session: Session, reason: Error): void;
  /** Forgets the messages that it has taken ahead of their turn, in order of arrival, for somebody else to take. */
  drain?(): readonly ReceivedMessage[];
  /** Takes a message for another run, in the place of the one whose run has failed. */
  runAgain?(message: ReceivedMessage, failed: ReceivedMessage): void;
  /** Resolves when it works on nothing. */
  idle(): Promise<void>;
  /** Begins nothing new, and resolves when what it works on has ended. */
  finish(): Promise<void>;
  /** Aborts what it works on, and waits for it no more. */
  abort(reason: Error): void;
}
