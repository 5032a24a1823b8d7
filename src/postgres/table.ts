import { ConfigurationError, messageOf } from '../errors.js';
import { type Check, checkOptions, show } from '../util/checks.js';
import type { RunSql } from './sql-runner.js';

/** The location of a table. */
export interface TableOptions {
  /** The schema, 1 to 48 characters of `a-z`, `0-9` and `_`. @defaultValue the first of the connection's `search_path` */
  readonly schema?: string | undefined;
  /** The table's name, of the same characters. */
  readonly table?: string | undefined;
}

/** A table of ours: its name, and the version that it must have. */
export interface Table {
  /** Quoted for SQL, because the name may be a reserved word. */
  readonly sql: string;
  /** The name for messages. */
  readonly name: string;
  readonly schema: string | undefined;
  readonly table: string;
  /** The comment of the table, such as `leveret outbox 1`. */
  readonly version: string;
}

const expectTableName: Check = (value) =>
  typeof value === 'string' && /^[a-z_][a-z0-9_]{0,47}$/.test(value)
    ? undefined
    : 'a name that matches [a-z_][a-z0-9_]{0,47}';

export const tableChecks: Readonly<Record<string, Check>> = {
  schema: expectTableName,
  table: expectTableName,
};

/** @throws ConfigurationError for an unknown option or a bad name */
export function tableOf(
  where: string,
  options: TableOptions | undefined,
  checks: Readonly<Record<string, Check>>,
  fallback: { readonly table: string; readonly version: string },
): Table {
  checkOptions(where, options, { ...tableChecks, ...checks });
  const { schema, table = fallback.table } = options ?? {};
  return {
    schema,
    table,
    version: fallback.version,
    sql: schema === undefined ? `"${table}"` : `"${schema}"."${table}"`,
    name: schema === undefined ? table : `${schema}.${table}`,
  };
}

/**
 * The SQL that creates a table. One statement that first checks whether the table exists, because an index created `if not
 * exists` would wait for every transaction that writes to the table.
 *
 * @param columns - the contents of the parentheses of `create table`
 */
export function migrationsOf(table: Table, columns: string, more: readonly string[]): string[] {
  const { schema, sql, version } = table;
  const makeSchema =
    schema === undefined
      ? ''
      : `
  if to_regnamespace('"${schema}"') is null then
    create schema "${schema}";
  end if;`;
  const statement = `do $leveret$
begin
  perform pg_advisory_xact_lock(hashtext('leveret migrations'));${makeSchema}
  if to_regclass('${sql}') is null then
    create table ${sql} (${columns});
${more.map((it) => `    ${it};\n`).join('')}    comment on table ${sql} is '${version}';
  end if;
end
$leveret$`;
  return [statement];
}

/**
 * Checks that the table exists, has the right version, and may be used.
 *
 * @throws ConfigurationError SCHEMA_VERSION, or INVALID_OPTION for a missing permission
 */
export async function checkTable(run: RunSql, table: Table, rights: readonly string[]): Promise<void> {
  const [found] = await run(CHECK, [table.sql, rights.join(',')]).catch((error: unknown) => {
    // insufficient_privilege: the schema itself must not be accessed.
    if ((error as { readonly code?: unknown }).code !== '42501') throw error;
    throw denied(table, messageOf(error), error);
  });
  const { oid, version, missing } = found ?? {};
  if (typeof oid !== 'string' || version !== table.version) throw wrongVersion(table, oid, version);
  if (typeof missing === 'string' && missing !== '')
    throw denied(table, `the right to ${missing} is missing`);
}

const CHECK = `
select t.oid::text as oid, obj_description(t.oid, 'pg_class') as version,
  (select string_agg(r.name, ', ') from unnest(string_to_array($2::text, ',')) as r(name)
    where t.oid is not null and not has_table_privilege(t.oid, r.name)) as missing
from (select to_regclass($1::text)::oid as oid) as t`;

function wrongVersion(table: Table, oid: unknown, version: unknown): ConfigurationError {
  const found =
    typeof oid !== 'string'
      ? 'there is no such table'
      : typeof version === 'string'
        ? `it is '${version.slice(0, 60)}'`
        : 'it is no table of Leveret';
  return new ConfigurationError(
    'table',
    `The table '${table.name}' must be '${table.version}', and ${found}. Run the SQL of migrations() on this database`,
    { code: 'SCHEMA_VERSION' },
  );
}

function denied({ name }: Table, reason: string, cause?: unknown): ConfigurationError {
  const message = `The table '${name}' cannot be used: ${reason}. Grant it to the user of 'db'`;
  return new ConfigurationError('db', message, cause === undefined ? {} : { cause });
}

/** A list in PostgreSQL's array syntax, because drivers pass text on unchanged. */
export function arrayOf(values: readonly (string | undefined)[]): string {
  const items = values.map((value) =>
    value === undefined ? 'NULL' : `"${value.replaceAll(/[\\"]/g, (it) => `\\${it}`)}"`,
  );
  return `{${items.join(',')}}`;
}

/** A text value of a row. */
export function textIn(value: unknown): string {
  return typeof value === 'string' ? value : show(value);
}
