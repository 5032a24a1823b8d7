/** Properties and headers of received messages, which another client may have set to anything. */

/** A text that is not empty; undefined for every other value. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** A whole number that is exact; undefined for every other value. */
export function wholeNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

/** A table of values; an empty one for every other value. */
export function tableIn(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : NONE;
}

const NONE: Readonly<Record<string, unknown>> = Object.freeze({});

/** The headers of a message; an empty table when it has none. */
export function headersOf({ headers }: { readonly headers?: unknown }): Readonly<Record<string, unknown>> {
  return tableIn(headers);
}

/** A header of the message itself, never one that its prototype has. */
export function headerIn(headers: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(headers, name) ? headers[name] : undefined;
}
