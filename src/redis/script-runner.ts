import { ConfigurationError } from '../errors.js';
import { show } from '../util/checks.js';

/** Runs a Lua script over one key. */
export type RunScript = (script: string, key: string, args: readonly string[]) => Promise<unknown>;

type Method = (...args: unknown[]) => unknown;

/**
 * Finds out how a client, which we do not import, runs a script.
 *
 * @throws ConfigurationError for an unknown shape
 */
export function scriptRunnerOf(client: unknown): RunScript {
  if (typeof client !== 'object' || client === null) throw unknownShape(client);
  const shape = client as Readonly<Record<string, unknown>>;
  if (!isFunction(shape.eval)) throw unknownShape(client);
  const evaluate = shape.eval.bind(client);
  // Only ioredis can define scripts as commands.
  if (isFunction(shape.defineCommand)) return async (script, key, args) => evaluate(script, 1, key, ...args);
  if (isFunction(shape.sendCommand))
    return async (script, key, args) => evaluate(script, { keys: [key], arguments: [...args] });
  throw unknownShape(client);
}

function isFunction(value: unknown): value is Method {
  return typeof value === 'function';
}

function unknownShape(client: unknown): ConfigurationError {
  return new ConfigurationError(
    'client',
    `redisStore: expected a client of node-redis or ioredis, got ${show(client)}`,
  );
}
