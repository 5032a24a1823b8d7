import type { TopologyDifference } from '../errors.js';
import { classify, differenceOf } from '../transport/failures.js';
import type { Channel } from '../transport/port.js';
import { adviceFor, type DeclaringStep, optionOf } from './contract-options.js';
import { serverValue } from './server-values.js';

/** More arguments than a declaration has. */
const MAX_DIFFERENCES = 24;

interface Difference {
  readonly argument: string;
  readonly declared: string;
  readonly existing: string;
}

/**
 * Finds all differences between a declaration and the existing queue or exchange. The server names one argument at a time: with that
 * argument corrected, it is asked again, until it accepts the declaration. Never rejects, but may find only some of the differences.
 *
 * @param refusal - the first refusal
 * @param run - runs an operation on a channel that a refusal may close
 */
export async function findDifferences(
  step: DeclaringStep,
  refusal: unknown,
  run: (operation: (channel: Channel) => Promise<void>) => Promise<void>,
): Promise<readonly TopologyDifference[]> {
  const found = new Map<string, Difference>();
  let candidate = step;
  for (let reason = refusal; reason instanceof Error && found.size < MAX_DIFFERENCES; ) {
    if (classify(reason) !== 'mismatch') break;
    const difference = differenceOf(reason);
    if (!difference || found.has(difference.argument)) break;
    found.set(difference.argument, difference);
    const corrected = correct(candidate, difference);
    if (!corrected) break;
    candidate = corrected;
    const asked: DeclaringStep = corrected;
    reason = await run((channel) =>
      asked.kind === 'queue' ? channel.declareQueue(asked.queue) : channel.declareExchange(asked.exchange),
    ).catch((error: unknown) => error);
  }
  for (const difference of impossible(step, found)) found.set(difference.argument, difference);
  const existing = new Map([...found.values()].map(({ argument, existing: text }) => [argument, text]));
  return [...found.values()].map((difference) => ({
    ...difference,
    option: optionOf(step, difference.argument),
    advice: adviceFor(step, difference.argument, existing),
  }));
}

/** The arguments that the server does not compare, because the existing type cannot have them. */
function impossible(step: DeclaringStep, found: ReadonlyMap<string, Difference>): readonly Difference[] {
  const priorities = declarationOf(step).arguments['x-max-priority'];
  if (priorities === undefined || found.has('x-max-priority') || !found.has('x-queue-type')) return [];
  return [{ argument: 'x-max-priority', declared: `'${String(priorities)}'`, existing: 'none' }];
}

const declarationOf = (step: DeclaringStep) => (step.kind === 'queue' ? step.queue : step.exchange);

/** The declaration with one argument as the server has it; undefined when its text does not say it exactly. */
function correct(step: DeclaringStep, { argument, existing }: Difference): DeclaringStep | undefined {
  const value = serverValue(existing);
  if (value === undefined) return undefined;
  const property = PROPERTIES.get(argument);
  if (property !== undefined) return withDeclaration(step, { [property]: value.is });
  const args: Record<string, unknown> = { ...declarationOf(step).arguments };
  if (value.is === undefined) delete args[argument];
  else args[argument] = typeof args[argument] === 'string' ? String(value.is) : value.is;
  return withDeclaration(step, { arguments: args });
}

function withDeclaration(step: DeclaringStep, changed: object): DeclaringStep {
  return step.kind === 'queue'
    ? { ...step, queue: { ...step.queue, ...changed } }
    : { ...step, exchange: { ...step.exchange, ...changed } };
}

/** The properties of a declaration, by the server's names. */
const PROPERTIES: ReadonlyMap<string, string> = new Map([
  ['durable', 'durable'],
  ['auto_delete', 'autoDelete'],
  ['exclusive', 'exclusive'],
  ['internal', 'internal'],
  ['type', 'type'],
]);
