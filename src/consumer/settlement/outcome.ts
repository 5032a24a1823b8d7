import type { QueueContract } from '../../contracts/types.js';
import type { ReceivedMessage } from '../delivery/message.js';

/** The outcome of a message that a handler or a loop has seen. `failed`: a request that was answered with an error. */
export type Outcome = 'acked' | 'retried' | 'dead-lettered' | 'requeued' | 'failed';

/** Called with each verdict on a message. */
export type OutcomeListener = (
  contract: QueueContract,
  message: ReceivedMessage,
  outcome: Outcome,
  error: unknown,
) => void;
