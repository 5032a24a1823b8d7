import type { QueueContract } from '../../contracts/types.js';
import type { TracedVerdict } from '../../diagnostics/consume.js';
import type { Clock } from '../../util/clock.js';
import type { ReceivedMessage } from '../delivery/message.js';
import type { Verdict } from '../delivery/verdict.js';
import { isGivenUp } from '../thrown-verdicts.js';
import { decide } from './retry-decision.js';

/**
 * A verdict as it is carried out: for a failed run, with the retry policy's decision. `forget`: the server does not have the
 * message any more.
 */
export type VerdictPlan =
  | Exclude<Verdict, { readonly kind: 'retry' }>
  | { readonly kind: 'retry'; readonly error: unknown; readonly delayMs: number }
  | { readonly kind: 'forget' };

/** A plan that traces show. A parked message has been seen by no handler, and comes back unchanged. */
export type TracedPlan = Exclude<VerdictPlan, { readonly kind: 'park' }>;

export interface PlanSettings {
  readonly contract: QueueContract;
  readonly noAck: boolean;
  readonly clock: Clock;
}

/** The plan for a verdict. A stale delivery needs no decision: the message will be redelivered. */
export function planOf(
  message: ReceivedMessage,
  verdict: Verdict,
  { contract, noAck, clock }: PlanSettings,
): VerdictPlan {
  if (verdict.kind !== 'retry') return verdict;
  const { error, delayMs } = verdict;
  if (!message.session.isLive) return { kind: 'retry', error, delayMs: delayMs ?? 0 };
  // The server has forgotten the message already, so it cannot be retried. It can still be dead-lettered.
  if (noAck && !isGivenUp(error)) return { kind: 'forget' };
  const decision = decide(contract.retry, message, error, delayMs, clock.random);
  if (decision.kind === 'dead-letter') return { kind: 'dead-letter', error };
  return { kind: 'retry', error, delayMs: decision.delayMs };
}

const TRACED_AS = {
  ack: 'ack',
  answer: 'ack',
  requeue: 'requeue',
  reject: 'requeue',
  retry: 'retry',
  forget: 'retry',
  'dead-letter': 'dead-letter',
} as const;

/** The plan in the words of a trace. A request that failed is acknowledged as well, after its answer. */
export function tracedVerdict(plan: TracedPlan, verdict: Verdict, isRequest: boolean): TracedVerdict {
  const reason = 'reason' in verdict ? verdict.reason : 'error' in verdict ? verdict.error : undefined;
  const kind = TRACED_AS[plan.kind];
  return {
    verdict: isRequest && kind === 'dead-letter' ? 'ack' : kind,
    delayMs: plan.kind === 'retry' ? plan.delayMs : undefined,
    reason,
  };
}
