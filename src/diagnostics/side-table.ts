/**
 * What the package's own instrumentation needs to know about a payload, and other subscribers do not. Kept beside the
 * payloads, so that no payload retains a message and its body.
 */
interface SideTable {
  /** The subject of a payload of `leveret:process` or `leveret:settle`, or of an entry of a batch. */
  readonly subjects: WeakMap<object, Subject>;
  /** A function that the traced work runs in, for instance with a context of its own. */
  readonly surroundings: WeakMap<object, Surrounding>;
  /** The context of a message whose handler is running, or that a loop is working on. Its type is the instrumentation's. */
  readonly contexts: WeakMap<object, unknown>;
}

/** The subject of a payload, besides its fields. */
export interface Subject {
  /** Undefined for a batch as a whole. */
  readonly message: object | undefined;
  /** The name of the queue; for a private subscription, that of its exchange. */
  readonly contract: string;
  readonly isSubscription: boolean;
}

/** Runs the work at once and returns its result. */
export type Surrounding = <T>(work: () => T) => T;

const KEY = Symbol.for('leveret.diagnostics.1');

/** Shared by all copies of the package in the process: one copy may instrument another. */
export const sideTable: SideTable = shared();

function shared(): SideTable {
  const place = globalThis as { [KEY]?: SideTable };
  place[KEY] ??= { subjects: new WeakMap(), surroundings: new WeakMap(), contexts: new WeakMap() };
  return place[KEY];
}
