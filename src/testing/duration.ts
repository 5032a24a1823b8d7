import { ConfigurationError } from '../errors.js';
import { show } from '../util/checks.js';

/** A length of time: milliseconds, or a number with its unit, such as `'10m'`, `'1.5h'` or `'250ms'`. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`;

const UNITS: ReadonlyMap<string, number> = new Map([
  ['ms', 1],
  ['s', 1_000],
  ['m', 60_000],
  ['h', 3_600_000],
  ['d', 86_400_000],
]);

/**
 * A duration in milliseconds.
 *
 * @throws ConfigurationError for anything else
 */
export function toMs(where: string, duration: unknown): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(String(duration)) ?? [];
  const ms = typeof duration === 'number' ? duration : Number(amount) * (UNITS.get(unit) ?? Number.NaN);
  if (Number.isFinite(ms) && ms >= 0) return ms;
  throw new ConfigurationError(
    'duration',
    `${where}: expected milliseconds or a text such as '10m' (units: ms, s, m, h, d), got ${show(duration)}`,
  );
}
