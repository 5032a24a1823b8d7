import pg from 'pg';

/** What code finds of a prisma transaction that runs raw SQL; prisma itself brings an engine that is downloaded. */
interface PrismaLike {
  /** Begins a savepoint, since Prisma 7. */
  $transaction<T>(work: (tx: PrismaLike) => Promise<T>): Promise<T>;
  $executeRawUnsafe(text: string, ...values: unknown[]): Promise<number>;
  $queryRawUnsafe(text: string, ...values: unknown[]): Promise<unknown[]>;
}

interface PrismaRoot extends PrismaLike {
  $connect(): Promise<void>;
}

export function prismaStandIn(url: string): { prisma: PrismaRoot; close: () => Promise<void> } {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const over = (client: pg.Pool | pg.PoolClient): PrismaLike => ({
    async $transaction(work) {
      await client.query('savepoint one');
      try {
        return await work(over(client));
      } catch (error) {
        await client.query('rollback to savepoint one');
        throw error;
      }
    },
    $executeRawUnsafe: async (text, ...values) => (await client.query(text, values)).rowCount ?? 0,
    $queryRawUnsafe: async (text, ...values) => (await client.query(text, values)).rows,
  });
  const $transaction = async <T>(work: (tx: PrismaLike) => Promise<T>): Promise<T> => {
    const client = await pool.connect();
    try {
      await client.query('begin');
      const result = await work(over(client));
      await client.query('commit');
      return result;
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  };
  return { prisma: { ...over(pool), $transaction, $connect: async () => {} }, close: () => pool.end() };
}
