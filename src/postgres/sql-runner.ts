import { ConfigurationError } from '../errors.js';
import { show } from '../util/checks.js';

/**
 * Runs one statement inside an open transaction. Resolves with its rows.
 *
 * @param name - the connection may keep the statement prepared under this name, where its library has a way to say so
 */
export type RunSql = (
  text: string,
  values: readonly (string | null)[],
  name?: string,
) => Promise<readonly Row[]>;

/** A row of a result. All our statements return text under lower-case names. */
export type Row = Readonly<Record<string, unknown>>;

/** An object of a library that we do not import. */
export type Shape = Readonly<Record<PropertyKey, unknown>>;

/**
 * Finds out how SQL is run in the transaction of `tx`.
 *
 * @throws ConfigurationError for an object that is not an open transaction, as far as that can be detected, and for an
 * unknown shape
 */
export function sqlRunnerOf(tx: unknown): RunSql {
  if (!isShape(tx)) throw unknownShape(tx);
  const root = rootOf(tx);
  if (root !== undefined) {
    const message = `expected an open transaction, got ${root}: nothing would tie the row to your transaction`;
    throw new ConfigurationError('tx', `option 'tx': ${message}`);
  }
  const run = runnerOf(tx);
  if (run) return run;
  throw unknownShape(tx);
}

/** The name of the object, if it is not an open transaction. */
export function rootOf(shape: Shape): string | undefined {
  if (isPostgresJs(shape) && can(shape, 'begin')) return 'the root object of postgres.js';
  if (isKnex(shape)) {
    if (shape.isTransaction !== true) return 'the root object of knex';
    if (can(shape, 'isCompleted') && call(shape, 'isCompleted') === true)
      return 'a knex transaction that is over';
  }
  // Since Prisma 7 a transaction has `$transaction`, too: for a savepoint.
  if (isPrisma(shape) && can(shape, '$connect')) return 'the root object of prisma';
  if (isKysely(shape) && shape.isTransaction !== true) return 'the root object of kysely';
  if (isDrizzle(shape) && !can(shape, 'rollback')) return 'the root object of drizzle';
  return typeormRootOf(shape) ?? pgRootOf(shape);
}

function typeormRootOf(shape: Shape): string | undefined {
  if (isTypeormDataSource(shape)) return 'a typeorm DataSource';
  const isManager = can(shape, 'query') && can(shape, 'getRepository');
  const queryRunner = isManager ? shape.queryRunner : shape;
  if (!isShape(queryRunner)) return 'a typeorm EntityManager of no transaction';
  return queryRunner.isTransactionActive === false
    ? 'a typeorm QueryRunner without a transaction'
    : undefined;
}

function pgRootOf(shape: Shape): string | undefined {
  if (isPgPool(shape)) return 'a pg Pool';
  const isClient = can(shape, 'query') && can(shape, 'getTransactionStatus');
  return isClient && call(shape, 'getTransactionStatus') === 'I'
    ? 'a pg client that is in no transaction'
    : undefined;
}

function runnerOf(shape: Shape): RunSql | undefined {
  if (isPostgresJs(shape))
    return async (text, values, name) =>
      rowsOf(await call(shape, 'unsafe', text, [...values], name === undefined ? {} : { prepare: true }));
  if (isKnex(shape))
    return async (text, values) => rowsOf(await call(shape, 'raw', ...toBindings(text, values)));
  if (isPrisma(shape)) return (text, values) => runPrisma(shape, text, values);
  if (isKysely(shape))
    return async (text, values) => rowsOf(await call(shape, 'executeQuery', toCompiled(text, values)));
  if (isDrizzle(shape))
    return async (text, values) => rowsOf(await call(shape, 'execute', toDrizzle(text, values)));
  const method = can(shape, 'execute') ? 'execute' : 'query';
  if (!can(shape, method)) return undefined;
  const canPrepare = isPgClient(shape);
  return async (text, values, name) => {
    const named = name !== undefined && canPrepare;
    const args = named ? [{ name, text, values: [...values] }] : [text, [...values]];
    return rowsOf(await call(shape, method, ...args));
  };
}

/** pg's Pool counts its clients. */
export function isPgPool(shape: Shape): boolean {
  return can(shape, 'connect') && can(shape, 'query') && typeof shape.totalCount === 'number';
}

function isPgClient(shape: Shape): boolean {
  return can(shape, 'query') && can(shape, 'escapeLiteral') && !can(shape, 'execute');
}

export function isPostgresJs(shape: Shape): boolean {
  return typeof shape === 'function' && can(shape, 'unsafe');
}

export function isKysely(shape: Shape): boolean {
  return can(shape, 'executeQuery') && typeof shape.isTransaction === 'boolean';
}

export function isPrisma(shape: Shape): boolean {
  return can(shape, '$executeRawUnsafe') && can(shape, '$queryRawUnsafe');
}

export function isKnex(shape: Shape): boolean {
  return can(shape, 'raw') && can(shape, 'transaction') && isShape(shape.client);
}

export function isDrizzle(shape: Shape): boolean {
  return can(shape, 'execute') && can(shape, 'transaction') && isShape(shape.dialect);
}

export function isTypeormDataSource(shape: Shape): boolean {
  return can(shape, 'createQueryRunner') && can(shape, 'transaction') && isShape(shape.manager);
}

/** `query` would refuse a statement without a result, and `execute` returns no rows. */
async function runPrisma(shape: Shape, text: string, values: readonly (string | null)[]) {
  const hasRows = /^\s*(?:select|with)\b/i.test(text);
  return rowsOf(await call(shape, hasRows ? '$queryRawUnsafe' : '$executeRawUnsafe', text, ...values));
}

/** knex expects `?` for each value, in the order of the text. */
function toBindings(text: string, values: readonly (string | null)[]): [string, (string | null)[]] {
  const bindings: (string | null)[] = [];
  const raw = text.replaceAll('?', '\\?').replace(/\$(\d+)/g, (_, number: string) => {
    bindings.push(values[Number(number) - 1] ?? null);
    return '?';
  });
  return [raw, bindings];
}

/** The result of kysely's `CompiledQuery.raw`. */
function toCompiled(sql: string, parameters: readonly (string | null)[]) {
  const query = { kind: 'RawNode', sqlFragments: [sql], parameters: [] };
  return { sql, parameters: [...parameters], query, queryId: { queryId: 'leveret' } };
}

/** drizzle's `SQLWrapper`: drizzle asks it for the SQL, and that for its text. */
function toDrizzle(sql: string, params: readonly (string | null)[]) {
  const query = { toQuery: () => ({ sql, params: [...params] }), getSQL: () => query };
  return query;
}

function rowsOf(result: unknown): readonly Row[] {
  if (Array.isArray(result)) return result as Row[];
  const rows = (result as { readonly rows?: unknown } | undefined)?.rows;
  return Array.isArray(rows) ? (rows as Row[]) : [];
}

export function isShape(value: unknown): value is Shape {
  return (typeof value === 'object' || typeof value === 'function') && value !== null;
}

/** Whether it has a method of this name. */
export function can(shape: Shape, name: string): boolean {
  return typeof shape[name] === 'function';
}

/** Calls a method that {@link can} has found. */
export function call(shape: Shape, name: string, ...args: readonly unknown[]): unknown {
  return (shape[name] as (...args: readonly unknown[]) => unknown).apply(shape, [...args]);
}

function unknownShape(tx: unknown): ConfigurationError {
  const known =
    'a transaction of pg, postgres.js, kysely, drizzle, knex, typeorm or prisma, or { execute(text, values) }';
  return new ConfigurationError('tx', `option 'tx' must be ${known}, got ${show(tx)}`);
}
