import { ConfigurationError } from '../errors.js';

/** Returns the expectation in words if the value is wrong, and undefined if it is right. */
export type Check = (value: unknown) => string | undefined;

export const expectBoolean: Check = (value) => (typeof value === 'boolean' ? undefined : 'true or false');

export const expectFunction: Check = (value) => (typeof value === 'function' ? undefined : 'a function');

export const expectString: Check = (value) => (typeof value === 'string' ? undefined : 'a string');

export const expectDate: Check = (value) =>
  value instanceof Date && !Number.isNaN(value.getTime()) ? undefined : 'a valid Date';

export const expectRecord: Check = (value) => (isPlainRecord(value) ? undefined : 'an object');

/** Checks the shape, since test runners and polyfills bring classes of their own. */
export const expectSignal: Check = (value) =>
  isPlainRecord(value) && typeof value.aborted === 'boolean' && typeof value.addEventListener === 'function'
    ? undefined
    : 'an AbortSignal';

/** Expects an integer in a range. */
export function expectInteger(min: number, max: number = Number.MAX_SAFE_INTEGER): Check {
  const upper = max === Number.MAX_SAFE_INTEGER ? ' or more' : ` to ${max}`;
  return (value) =>
    Number.isInteger(value) && (value as number) >= min && (value as number) <= max
      ? undefined
      : `a whole number, ${min}${upper}`;
}

/** Expects a number in a range, integer or not. */
export function expectNumber(min: number, max: number, { infinity = false } = {}): Check {
  return (value) => {
    if (typeof value === 'number' && value >= min && (value <= max || (infinity && value === Infinity)))
      return undefined;
    return `a number from ${min} to ${max}${infinity ? ', or Infinity' : ''}`;
  };
}

/** Expects a duration: a number of milliseconds that a timer can hold. */
export function expectDuration(min: number, { infinity = false } = {}): Check {
  return expectNumber(min, 2 ** 31 - 1, { infinity });
}

/** Expects one of a few literals. */
export function expectOneOf(...allowed: readonly unknown[]): Check {
  const list = allowed.map(show).join(' or ');
  return (value) => (allowed.includes(value) ? undefined : list);
}

/** Expects that one of the two checks passes. */
export function either(first: Check, second: Check): Check {
  return (value) => {
    const one = first(value);
    const two = one && second(value);
    return one && two ? `${one} or ${two}` : undefined;
  };
}

/** Lone surrogates become U+FFFD in UTF-8. */
export const isWellFormed = (value: string): boolean =>
  (value as string & { isWellFormed(): boolean }).isWellFormed();

/** Expects a name or another text that AMQP encodes as a short string: at most 255 bytes of UTF-8 (AMQP 0-9-1, 4.2.5.3). */
export function expectShortString({ empty = false } = {}): Check {
  return (value) => {
    // A lone surrogate would come back as another character, and a lookup by this string would then fail.
    const isText = typeof value === 'string' && isWellFormed(value);
    if (isText && (empty || value !== '') && Buffer.byteLength(value) <= 255) return undefined;
    const without = typeof value === 'string' && !isText ? ', without lone surrogates' : '';
    return `a ${empty ? '' : 'non-empty '}string of at most 255 bytes${without}`;
  };
}

/**
 * Expects the name of a queue, an exchange or a procedure. RabbitMQ strips line ends from names, but only when it declares
 * them (`rabbit_channel:strip_cr_lf`): publishing or consuming by the full name would not find the queue.
 */
export const expectName: Check = (value) =>
  expectShortString()(value) ??
  (/[\r\n]/.test(value as string) ? 'a non-empty string of at most 255 bytes, without line ends' : undefined);

/**
 * Checks an options object. Throws for an unknown key, and for a value that its check refuses. A key whose value is
 * `undefined` counts as absent.
 *
 * @param where - the name of the options in messages, such as `consumer(…)`
 */
export function checkOptions(where: string, options: unknown, checks: Readonly<Record<string, Check>>): void {
  if (options === undefined) return;
  if (!isPlainRecord(options)) {
    throw new ConfigurationError(where, `${where}: expected an options object, got ${show(options)}`);
  }
  for (const [key, value] of Object.entries(options)) {
    const check = Object.hasOwn(checks, key) ? checks[key] : undefined;
    if (!check) {
      const known = Object.keys(checks);
      const near = known.find((name) => isNear(name, key));
      const hint = near ? `Did you mean '${near}'?` : `Known options: ${known.join(', ')}.`;
      throw new ConfigurationError(key, `${where}: unknown option '${key}'. ${hint}`);
    }
    if (value === undefined) continue;
    const expected = check(value);
    if (expected) {
      const got = SECRETS.has(key) && typeof value === 'string' ? 'a string' : show(value);
      throw new ConfigurationError(key, `${where}: option '${key}' must be ${expected}, got ${got}`);
    }
  }
}

/** Options that contain secrets, even when they are invalid. */
const SECRETS: ReadonlySet<string> = new Set(['credentials', 'tls']);

/**
 * A short description of a wrong value for an error message. Objects are named by their kind, never printed; a URL is shown
 * without its user and password.
 */
export function show(value: unknown): string {
  if (typeof value === 'string') {
    const text = value
      .replace(/:\/\/.*@/s, '://…@')
      .replace(/[\r\n]/g, (end) => (end === '\n' ? '\\n' : '\\r'));
    return `'${text.length > 60 ? `${text.slice(0, 57)}…` : text}'`;
  }
  if (value === null || typeof value !== 'object') {
    return typeof value === 'function' || typeof value === 'symbol' ? `a ${typeof value}` : String(value);
  }
  if (Array.isArray(value)) return 'an array';
  if (value instanceof Date && Number.isNaN(value.getTime())) return 'an invalid Date';
  const name: unknown = (value as object).constructor?.name;
  return typeof name === 'string' && name !== 'Object' ? `an instance of ${name}` : 'an object';
}

function isPlainRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True when the two names differ only in case, or by one missing, added, wrong or swapped letter. */
function isNear(name: string, other: string): boolean {
  const a = name.toLowerCase();
  const b = other.toLowerCase();
  if (a === b || a === `${b}ms` || a === `${b}bytes`) return true;
  if (Math.abs(a.length - b.length) > 1) return false;
  let start = 0;
  while (start < a.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  return Math.max(a.length, b.length) - start - end <= 2;
}
