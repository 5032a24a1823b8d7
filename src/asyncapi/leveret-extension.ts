import type { Binding, QueueContract } from '../contracts/types.js';
import type { AsyncApiQueueBinding, LeveretExtension } from './document.js';

/** The shortest and the longest delay of a message: 60 days. */
const DELAY = { minMs: 100, maxMs: 5_184_000_000 };

/** `x-leveret` of a queue that messages are sent to by name. */
export function queueExtension(contract: QueueContract): LeveretExtension {
  const canDelay = contract.type !== 'stream' && !contract.exclusive;
  return { ...extensionOf(contract), ...(canDelay ? { delay: DELAY } : undefined) };
}

/** `x-leveret` of a queue whose messages cannot be delayed: that of a procedure or a subscription. */
export function extensionOf(contract: QueueContract): LeveretExtension {
  const { type, retry, bindings } = contract;
  const isStream = type === 'stream';
  const limits = {
    deliveryLimit: numberIn(contract, 'x-delivery-limit'),
    messageTtlMs: numberIn(contract, 'x-message-ttl'),
    expiresMs: numberIn(contract, 'x-expires'),
    maxLength: numberIn(contract, 'x-max-length'),
    maxLengthBytes: numberIn(contract, 'x-max-length-bytes'),
    overflow: textIn(contract, 'x-overflow'),
    maxPriority: numberIn(contract, 'x-max-priority'),
    singleActiveConsumer: contract.arguments['x-single-active-consumer'] === true || undefined,
  };
  return {
    type,
    retry: isStream || retry.attempts === 1 ? false : policyOf(retry),
    deadLetter: isStream ? false : (contract.deadLetter ?? false),
    ...(Object.fromEntries(
      Object.entries(limits).filter(([, value]) => value !== undefined),
    ) as Partial<LeveretExtension>),
    bindings: bindings.map(bindingOf),
  };
}

function policyOf({ attempts, initialDelayMs, factor, maxDelayMs, jitter }: QueueContract['retry']) {
  return { attempts, initialDelayMs, factor, maxDelayMs, jitter };
}

/** A binding, with the exchange by its name. */
export function bindingOf({ exchange, routingKey = '', arguments: match }: Binding): AsyncApiQueueBinding {
  return {
    exchange: typeof exchange === 'string' ? exchange : exchange.name,
    routingKey,
    ...(match === undefined ? undefined : { arguments: plainArguments(match) }),
  };
}

/** As JSON: a header table may hold dates and bytes. */
function plainArguments(match: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const text = JSON.stringify(match, (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  );
  return JSON.parse(text) as Record<string, unknown>;
}

function numberIn({ arguments: args }: QueueContract, name: string): number | undefined {
  const value = args[name];
  return typeof value === 'number' ? value : undefined;
}

function textIn({ arguments: args }: QueueContract, name: string): string | undefined {
  const value = args[name];
  return typeof value === 'string' ? value : undefined;
}
