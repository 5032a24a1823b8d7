import type { Contract } from '../contracts/types.js';
import { CommitListeners } from '../outbox/commit-listeners.js';
import type { Outbox } from '../outbox/outbox.js';
import { RowMaker } from '../outbox/row-maker.js';
import { checkOptions, expectInteger } from '../util/checks.js';
import { checkMemoryDatabase, checkMemoryTransaction } from './memory-database.js';
import { MemoryTable } from './memory-table.js';

/** The options of {@link memoryOutbox}. */
export interface MemoryOutboxOptions {
  /** The largest body, in bytes, 1 or more. @defaultValue 1048576 (1 MiB) */
  readonly maxBodyBytes?: number | undefined;
}

/**
 * An outbox in the memory of this process, for tests: with transactions of a {@link memoryDatabase}, it keeps what
 * `postgresOutbox` promises, as long as the process lives.
 *
 * @param contracts - every queue and exchange that is sent to
 * @throws ConfigurationError for a wrong contract, an unknown option or a value out of range
 *
 * @example
 * ```ts
 * const db = memoryDatabase();
 * const outbox = memoryOutbox([emails]);
 * broker.relay(outbox, { db });
 * ```
 */
export function memoryOutbox<const C extends Contract>(
  contracts: readonly C[],
  options: MemoryOutboxOptions = {},
): Outbox<C> {
  checkOptions('memoryOutbox', options, { maxBodyBytes: expectInteger(1) });
  const maker = new RowMaker('memoryOutbox', contracts, options.maxBodyBytes ?? 1024 * 1024);
  const table = new MemoryTable();
  const { committed, onCommitted } = new CommitListeners();
  return {
    async send(tx: object, contract: Contract, body: unknown, ...[sendOptions]: readonly unknown[]) {
      const open = checkMemoryTransaction(tx);
      const row = await maker.row(contract, body, sendOptions);
      open.onCommit(table.inserting([row]));
      return { messageId: row.messageId };
    },
    async sendAll(tx: object, contract: Contract, bodies: unknown, ...[each]: readonly unknown[]) {
      const open = checkMemoryTransaction(tx);
      const rows = await maker.rows(contract, bodies, each);
      open.onCommit(table.inserting(rows));
      return { messageIds: rows.map(({ messageId }) => messageId) };
    },
    committed,
    migrations: () => [],
    engine: {
      contracts: maker.contracts,
      open: (db) => {
        checkMemoryDatabase('broker.relay', db);
        return table;
      },
      onCommitted,
    },
  } as Outbox<C>;
}
