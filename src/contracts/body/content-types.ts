import type { Check } from '../../util/checks.js';

/**
 * Content types of other clients that are decoded with a contract's codec, in lower case and without parameters. `'any'`: the
 * body alone decides, whatever the message declares.
 */
export type ContentTypes = 'any' | readonly string[];

/** @internal */
export const expectContentTypes: Check = (value) =>
  value === 'any' || (Array.isArray(value) && value.every(isContentType))
    ? undefined
    : "'any', or an array of content types such as 'text/plain', without parameters";

/** @internal */
export function resolveContentTypes(given: ContentTypes | undefined): ContentTypes {
  if (given === undefined || given === 'any') return given ?? NONE;
  return Object.freeze(given.map((type) => type.toLowerCase()));
}

const NONE: readonly string[] = Object.freeze([]);

const isContentType = (value: unknown) => typeof value === 'string' && /^[^\s;,]+$/.test(value);
