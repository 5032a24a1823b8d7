import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isDelays, isExchange, isProcedure, isQueue, isSubscription } from '../contracts/guards.js';
import type { Contract, ProcedureContract, QueueContract, SubscriptionContract } from '../contracts/types.js';
import type { OptionSpecs } from './arguments.js';
import { usageError } from './failure.js';
import { shown } from './secrets.js';
import { printable } from './text.js';

export type AnyContract = Contract | ProcedureContract | SubscriptionContract;

export const contractOptions = {
  contracts: {
    type: 'string',
    multiple: true,
    value: 'FILE',
    complete: 'file',
    help: 'a module whose exports are contracts, also within arrays and plain objects (repeatable)',
  },
} as const satisfies OptionSpecs;

/**
 * Every contract among the exports of modules, each once.
 *
 * @throws CommandFailure for a module that cannot be loaded, or if no module exports a contract
 */
export async function loadContracts(files: readonly string[]): Promise<readonly AnyContract[]> {
  const found = new Set<AnyContract>();
  for (const file of files) {
    const before = found.size;
    collect(await load(file), found, new Set());
    if (found.size === before) throw usageError(`${shown(file)} exports no contract`);
  }
  return [...found];
}

/** The queue of this name, also that of a procedure. */
export function queueNamed(contracts: readonly AnyContract[], name: string): QueueContract | undefined {
  return queuesOf(contracts).find((queue) => queue.name === name);
}

/** The queues that contracts name. */
export function queuesOf(contracts: readonly AnyContract[]): readonly QueueContract[] {
  return contracts.flatMap((contract) => {
    if (isQueue(contract)) return [contract];
    return isProcedure(contract) ? [contract.queue] : [];
  });
}

async function load(file: string): Promise<object> {
  try {
    return (await import(pathToFileURL(resolve(file)).href)) as object;
  } catch (error) {
    const { code, message } = Object(error) as { readonly code?: unknown; readonly message?: unknown };
    const hint =
      code === 'ERR_UNKNOWN_FILE_EXTENSION'
        ? '. This Node does not read TypeScript by itself: build it, or give a loader, such as NODE_OPTIONS="--import tsx"'
        : '';
    const [reason = ''] = String(message ?? error).split('\n');
    throw usageError(`${shown(file)} cannot be loaded: ${printable(reason)}${hint}`);
  }
}

function collect(value: unknown, found: Set<AnyContract>, seen: Set<unknown>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  if (isContract(value)) {
    found.add(value);
    return;
  }
  if (isDelays(value)) {
    for (const contract of value.contracts) found.add(contract);
    return;
  }
  if (!Array.isArray(value) && !isPlain(value)) return;
  for (const inner of Object.values(value)) collect(inner, found, seen);
}

function isContract(value: object): value is AnyContract {
  if (isSubscription(value)) return typeof value.toQueue === 'function';
  if (!isQueue(value) && !isExchange(value) && !isProcedure(value)) return false;
  return typeof value.name === 'string' && ('schema' in value || 'request' in value);
}

/** An object literal, or a module. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return (
    prototype === null ||
    prototype === Object.prototype ||
    Object.getPrototypeOf(prototype as object) === null
  );
}
