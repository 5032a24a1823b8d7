import {
  ConnectionError,
  MessageTooLargeError,
  type TopologyDifference,
  TopologyError,
  type TopologyErrorCode,
} from '../errors.js';
import { classify, differenceOf, type Failure, serverWords, sizesOf } from './failures.js';
import { type OutgoingMessage, TransportError } from './port.js';

/** The refusals that are about a queue or an exchange, and stay the same until the topology or a permission changes. */
const TOPOLOGY_CODES: Readonly<Partial<Record<Failure, TopologyErrorCode>>> = {
  access: 'ACCESS_REFUSED',
  exclusive: 'ACCESS_REFUSED',
  missing: 'NOT_FOUND',
  mismatch: 'MISMATCH',
  'too-large': 'MISMATCH',
  // The server refuses the declaration itself, whatever exists.
  unsupported: 'MISMATCH',
  'transient-denied': 'MISMATCH',
};

/** The advice for a difference that no option of a contract can remove. */
export const PASSIVE = "declare: 'passive'";

/** A difference that may not have been looked up in the contract. */
type FoundDifference =
  | TopologyDifference
  | (Pick<TopologyDifference, 'argument' | 'declared' | 'existing'> & {
      readonly option: undefined;
      readonly advice: undefined;
    });

/**
 * Converts a refusal of the server to a `TopologyError`; an error after which another attempt may succeed is returned as it
 * is.
 *
 * @param name - of the queue or exchange in question
 * @param subject - what the refusal is about, in words
 */
export function toTopologyError(error: unknown, name: string, subject = `'${name}'`): unknown {
  const failure = classify(error);
  const code = failure && TOPOLOGY_CODES[failure];
  if (!(error instanceof TransportError) || !code) return error;
  if (failure === 'transient-denied') {
    const message = `${subject}: this server refuses queues that are neither durable nor exclusive. Set 'durable: true', or 'exclusive: true'`;
    return new TopologyError(code, name, message, { cause: error });
  }
  const difference = failure === 'mismatch' ? differenceOf(error) : undefined;
  if (!difference)
    return new TopologyError(code, name, `${subject}: ${serverWords(error)}`, { cause: error });
  return mismatch(name, subject, [{ ...difference, option: undefined, advice: undefined }], error);
}

/**
 * The error for a queue or an exchange that exists otherwise.
 *
 * @param differences - at least one
 */
export function mismatch(
  name: string,
  subject: string,
  differences: readonly [FoundDifference, ...FoundDifference[]],
  cause: unknown,
): TopologyError {
  const [{ argument, declared, existing }] = differences;
  const known = differences.filter((it): it is TopologyDifference => it.option !== undefined);
  const named = differences.map((it) => {
    const option = it.option === undefined || it.option === it.argument ? '' : ` (option '${it.option}')`;
    return `'${it.argument}'${option}: this program declares ${it.declared}, the server has ${it.existing}`;
  });
  const loses = subject.startsWith('The exchange') ? 'its bindings' : 'its messages';
  return new TopologyError(
    'MISMATCH',
    name,
    `${subject} exists with another ${named.join('; ')}. ${remedyOf(known)}. ` +
      `Deleting it on the server, so that it is declared anew, loses ${loses}`,
    { cause, argument, declared, existing, differences: known },
  );
}

function remedyOf(differences: readonly TopologyDifference[]): string {
  const advice = new Set(differences.map((it) => it.advice));
  const isPassive = advice.delete(PASSIVE);
  // Where the type differs, what no contract says may be the default of the other type.
  if (isPassive && !differences.some(({ option }) => option === 'type'))
    return `Use it as it is, with ${PASSIVE}`;
  const write =
    advice.size === 0 ? 'Change the contract' : `Write in the contract: ${[...advice].join(', ')}`;
  return `${write}; or use it as it is, with ${PASSIVE}`;
}

/**
 * The error of a message that was in flight when the server closed the channel over it: sent again, it would close the next one.
 * Undefined if the message may be sent again.
 *
 * @param target - what the message is for, in words
 */
export function toMessageError(
  error: TransportError,
  { content, exchange, routingKey }: OutgoingMessage,
  target: string,
): unknown {
  switch (classify(error)) {
    case 'access':
    case 'exclusive':
    case 'missing':
      return toTopologyError(error, exchange || routingKey, target);
    case 'too-large': {
      const { sizeBytes, limitBytes } = sizesOf(error);
      // The error is about one of the messages in flight, perhaps another one.
      if (content.length !== sizeBytes) return undefined;
      const message = `The body for ${target} is ${sizeBytes} bytes; the server's limit is ${limitBytes}`;
      return new MessageTooLargeError(message, sizeBytes, limitBytes);
    }
    default:
      return undefined;
  }
}

/**
 * Converts an error of the transport to one of the public errors. Every other error is returned as it is.
 *
 * @param target - the queue or exchange in question
 */
export function toPublicError(error: unknown, target: string): unknown {
  const refusal = toTopologyError(error, target);
  if (!(refusal instanceof TransportError)) return refusal;
  const { message } = refusal;
  switch (classify(refusal)) {
    case 'lost':
    case 'no-channel':
      return new ConnectionError('CONNECTION_FAILED', message, { cause: refusal });
    case 'unavailable': {
      const words = `'${target}' is unavailable at the moment: ${serverWords(refusal)}`;
      return new ConnectionError('CONNECTION_FAILED', words, { cause: refusal });
    }
    default:
      // Such as 'locked': an exclusive queue of another connection.
      return new TopologyError('ACCESS_REFUSED', target, `'${target}': ${message}`, { cause: refusal });
  }
}
