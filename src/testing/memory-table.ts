import {
  type BatchRequest,
  type BatchWork,
  type NewRow,
  type RelayStore,
  type RowOutcome,
  type StoredRow,
  type StoreStats,
  type StuckRow,
  splitError,
  unknownContract,
} from '../outbox/relay-store.js';
import { realTimers } from '../util/timers.js';

interface MemoryRow extends Omit<StoredRow, 'attempts' | 'dueInMs'> {
  attempts: number;
  readonly createdAt: number;
  /** In real time, like everything that a database keeps. */
  readonly dueAt: number | undefined;
  nextAt: number;
  isStuck: boolean;
  error: string | undefined;
}

/** The table of an outbox, in memory: where PostgreSQL uses locks, it uses two sets. */
export class MemoryTable implements RelayStore {
  readonly table = 'memory';
  readonly statsEveryMs = 0;
  /** In the order of the commits. */
  readonly #rows = new Map<string, MemoryRow>();
  readonly #takenIds = new Set<string>();
  readonly #takenKeys = new Set<string>();
  #nextId = 1;

  /** Returns the function that inserts the rows at the commit. */
  inserting(rows: readonly NewRow[]): () => void {
    const sentAt = Date.now();
    return () => {
      for (const { dueInMs, ...row } of rows) {
        const id = `${this.#nextId++}`;
        const dueAt = dueInMs === undefined ? undefined : sentAt + dueInMs;
        const state = { attempts: 0, nextAt: 0, isStuck: false, error: undefined };
        this.#rows.set(id, { ...row, ...state, id, dueAt, createdAt: Date.now() });
      }
    };
  }

  async check(): Promise<void> {}

  async batch({ limit, contracts, aheadMs, signal }: BatchRequest, work: BatchWork): Promise<number> {
    const takenAt = realTimers.now();
    const rows = this.#take(limit, contracts, Date.now() + aheadMs);
    if (rows.length === 0) return 0;
    const keys = new Set(rows.flatMap(({ key }) => (key === undefined ? [] : [key])));
    for (const { id } of rows) this.#takenIds.add(id);
    for (const key of keys) this.#takenKeys.add(key);
    try {
      const outcomes = await work(rows.map(toStoredRow), takenAt);
      if (!signal.aborted) for (const outcome of outcomes) this.#settle(outcome, aheadMs);
    } finally {
      for (const { id } of rows) this.#takenIds.delete(id);
      for (const key of keys) this.#takenKeys.delete(key);
    }
    return rows.length;
  }

  async stats(contracts: readonly string[]): Promise<StoreStats> {
    const [oldest] = this.#rows.values();
    const stuck = [...this.#rows.values()].filter((row) => isListed(row, contracts)).length;
    return { waiting: this.#rows.size, oldestMs: oldest ? Date.now() - oldest.createdAt : 0, stuck };
  }

  async stuck(contracts: readonly string[], limit: number): Promise<StuckRow[]> {
    return [...this.#rows.values()]
      .filter((row) => isListed(row, contracts))
      .slice(0, limit)
      .map(({ id, messageId, contract, attempts, createdAt, error }) => ({
        id,
        messageId,
        contract,
        attempts,
        createdAt: new Date(createdAt),
        error:
          error !== undefined && contracts.includes(contract) ? splitError(error) : unknownContract(contract),
      }));
  }

  async discard(contracts: readonly string[], id: string): Promise<boolean> {
    const row = this.#rows.get(id);
    if (!row || this.#takenIds.has(id) || !isListed(row, contracts)) return false;
    return this.#rows.delete(id);
  }

  #take(limit: number, contracts: readonly string[], now: number): MemoryRow[] {
    const heldBack = new Set(this.#takenKeys);
    const taken: MemoryRow[] = [];
    for (const row of this.#rows.values()) {
      if (taken.length === limit) break;
      const isDue = row.nextAt <= now && contracts.includes(row.contract) && !this.#takenIds.has(row.id);
      if (isDue && (row.key === undefined || !heldBack.has(row.key))) taken.push(row);
      // Later rows with the same key wait for this one.
      else if (row.key !== undefined) heldBack.add(row.key);
    }
    return taken;
  }

  #settle(outcome: RowOutcome, aheadMs: number): void {
    const row = this.#rows.get(outcome.id);
    if (!row) return;
    if (outcome.kind === 'sent') {
      this.#rows.delete(outcome.id);
      return;
    }
    row.attempts++;
    row.nextAt = Date.now() + aheadMs + outcome.delayMs;
    row.isStuck = outcome.isStuck;
    row.error = outcome.error;
  }
}

function isListed({ isStuck, contract }: MemoryRow, contracts: readonly string[]): boolean {
  return isStuck || !contracts.includes(contract);
}

function toStoredRow({ dueAt, ...row }: MemoryRow): StoredRow {
  const dueInMs = dueAt === undefined ? undefined : dueAt - Date.now();
  return { ...row, dueInMs: dueInMs !== undefined && dueInMs > 0 ? dueInMs : undefined };
}
