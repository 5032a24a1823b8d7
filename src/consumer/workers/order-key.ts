import { types } from 'node:util';
import { ConfigurationError } from '../../errors.js';
import { show } from '../../util/checks.js';
import { isThenable } from '../../util/promises.js';

/**
 * A key as a `Map` compares it: by value.
 *
 * @throws ConfigurationError for a value that a `Map` compares by identity: each message would have its own, and no order
 * would hold
 */
export function orderKeyOf(key: unknown): unknown {
  switch (typeof key) {
    case 'string':
    case 'number':
    case 'bigint':
    case 'boolean':
    case 'undefined':
      return key;
    case 'object':
      if (key === null) return key;
      // A string key can be equal to it. Messages of both keys then wait for each other, which costs time but no order.
      if (types.isDate(key)) return `Date ${key.getTime()}`;
      break;
    default:
  }
  throw new ConfigurationError('orderBy', `consumer: 'orderBy' must return ${expected(key)}`);
}

function expected(key: unknown): string {
  if (isThenable(key)) {
    // Not awaited, so its rejection is handled here.
    key.then(undefined, () => {});
    return 'a key at once, got a promise';
  }
  return (
    `a string, a number, a bigint, a boolean, null, undefined or a Date, got ${show(key)}. ` +
    'For a compound key return a text, such as JSON.stringify([shop, customer])'
  );
}
