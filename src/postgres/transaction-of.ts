/**
 * The type of the transactions of a database: pg's `PoolClient`, postgres.js's `TransactionSql`, the transactions of kysely,
 * drizzle and knex, typeorm's `EntityManager`, or that of `{ transaction(work) }`.
 */
export type TransactionOf<Db> =
  Db extends PgPoolLike<infer Client>
    ? Client
    : Db extends PostgresJsLike<infer Tx>
      ? Tx
      : Db extends KyselyLike<infer Tx>
        ? Tx
        : Db extends TypeormLike<infer Tx>
          ? Tx
          : Db extends TransactionLike<infer Tx>
            ? Tx
            : unknown;

/** Both signatures, because TypeScript infers from the last overload. */
interface PgPoolLike<Client> {
  readonly totalCount: number;
  connect: {
    (): Promise<Client>;
    (callback: (...args: never[]) => void): void;
  };
}

interface PostgresJsLike<Tx> {
  begin(options: string, work: (tx: Tx) => unknown): unknown;
}

interface KyselyLike<Tx> {
  transaction(): { execute(work: (tx: Tx) => Promise<unknown>): Promise<unknown> };
}

/** A DataSource: its transactions have the type of its own manager. */
interface TypeormLike<Tx> {
  readonly isInitialized: boolean;
  readonly manager: Tx;
  createQueryRunner(...args: never[]): unknown;
}

interface TransactionLike<Tx> {
  transaction(work: (tx: Tx) => Promise<void>): Promise<unknown>;
}
