/** Where a database server is. Plain data: handed from the global set-up to the tests. */
export interface DatabaseAddress {
  readonly url: string;
  /** As the server states it: `15.16`. */
  readonly version: string;
  /** How it was found, for people. */
  readonly description: string;
}

/** A server that tests may use side by side, each with names of its own. */
export interface DatabaseServer extends DatabaseAddress {
  /** Ends the server if it was started for the tests. Safe to call twice. */
  stop(): Promise<void>;
}

/** One way to get a server. Resolves with `undefined` where it does not apply, and rejects where it should have worked. */
export type Way = () => Promise<DatabaseServer | undefined>;
