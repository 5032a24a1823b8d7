/**
 * What the package's own instrumentation needs to know of a payload, and subscribers do not: kept beside the payloads, so that
 * none of them holds a message and with it a body.
 */
interface SideTable {
  /** The message that a payload, or an entry of a batch's payload, is about. */
  readonly messages: WeakMap<object, object>;
  /** What the traced work runs within, such as a context of its own. */
  readonly surroundings: WeakMap<object, Surrounding>;
}

/** Runs the work at once and answers with what it returns. */
export type Surrounding = <T>(work: () => T) => T;

const KEY = Symbol.for('leveret.diagnostics.1');

/** One for all copies of the package in the process: the one that is instrumented may be another than the one that instruments. */
export const sideTable: SideTable = shared();

function shared(): SideTable {
  const place = globalThis as { [KEY]?: SideTable };
  place[KEY] ??= { messages: new WeakMap(), surroundings: new WeakMap() };
  return place[KEY];
}
