import pg from 'pg';

/** What code finds of a prisma client that runs raw SQL; prisma itself brings an engine that is downloaded. */
interface PrismaLike {
  $executeRawUnsafe(text: string, ...values: unknown[]): Promise<number>;
  $queryRawUnsafe(text: string, ...values: unknown[]): Promise<unknown[]>;
}

interface PrismaRoot extends PrismaLike {
  $transaction<T>(work: (tx: PrismaLike) => Promise<T>): Promise<T>;
}

export function prismaStandIn(url: string): { prisma: PrismaRoot; close: () => Promise<void> } {
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  const over = (client: pg.Pool | pg.PoolClient): PrismaLike => ({
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
  return { prisma: { ...over(pool), $transaction }, close: () => pool.end() };
}
