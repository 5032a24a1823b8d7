import { types } from 'node:util';
import { isThenable } from '../../contracts/body/schema.js';
import { ConfigurationError } from '../../errors.js';
import { show } from '../../util/checks.js';

/**
 * What `orderBy` may return. Two keys are the same when they are the same value; two dates, when they are the same moment.
 * `undefined` is no key.
 */
export type OrderKey = string | number | bigint | boolean | null | undefined | Date;

/**
 * A key as a `Map` compares it: by value.
 *
 * @throws ConfigurationError for anything that a `Map` compares by identity, since each message has its own: no order would hold
 */
export function laneKeyOf(key: unknown): unknown {
  switch (typeof key) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
    case 'undefined':
      return key;
    case 'object':
      if (key === null) return key;
      // A text can be equal to it, and then shares its lane: that costs time, and no order.
      if (types.isDate(key)) return `Date ${key.getTime()}`;
      break;
    default:
  }
  throw new ConfigurationError('orderBy', `consumer: 'orderBy' must return ${expected(key)}`);
}

function expected(key: unknown): string {
  if (isThenable(key)) {
    // Not awaited: its rejection must not count as unhandled.
    key.then(undefined, () => {});
    return 'a key at once, got a promise';
  }
  return (
    `a string, a number, a bigint, a boolean, null, undefined or a Date, got ${show(key)}. ` +
    'For a compound key return a text, such as JSON.stringify([shop, customer])'
  );
}
