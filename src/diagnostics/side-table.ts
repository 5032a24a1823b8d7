/**
 * What the package's own instrumentation needs to know of a payload, and subscribers do not: kept beside the payloads, so that
 * none of them holds a message and with it a body.
 */
interface SideTable {
  /** What a payload of `leveret:process` or `leveret:settle`, or an entry of a batch, is about. */
  readonly subjects: WeakMap<object, Subject>;
  /** What the traced work runs within, such as a context of its own. */
  readonly surroundings: WeakMap<object, Surrounding>;
  /** The context of a message whose handler runs, or that a loop has in hand. Its type is the instrumentation's. */
  readonly contexts: WeakMap<object, unknown>;
}

/** What a payload is about, beside what it says. */
export interface Subject {
  /** Undefined for a batch as a whole. */
  readonly message: object | undefined;
  /** The name of the queue; of a private subscription, that of its exchange. */
  readonly contract: string;
  readonly isSubscription: boolean;
}

/** Runs the work at once and answers with what it returns. */
export type Surrounding = <T>(work: () => T) => T;

const KEY = Symbol.for('leveret.diagnostics.1');

/** One for all copies of the package in the process: the one that is instrumented may be another than the one that instruments. */
export const sideTable: SideTable = shared();

function shared(): SideTable {
  const place = globalThis as { [KEY]?: SideTable };
  place[KEY] ??= { subjects: new WeakMap(), surroundings: new WeakMap(), contexts: new WeakMap() };
  return place[KEY];
}
