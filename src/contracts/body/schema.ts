import { type Issue, messageOf } from '../../errors.js';
import { ask } from './zod.js';

/**
 * The part of Standard Schema v1 that Leveret uses (https://standardschema.dev). Zod 3.24+, zod 4, valibot 1 and arktype 2
 * schemas have this shape.
 *
 * @typeParam Input - the type that the schema accepts
 * @typeParam Output - the type that it returns
 */
export interface Schema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    /** Validates a value: returns the schema's output, or issues. */
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** The result of a schema: a value, or issues. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };

/** An issue as a schema library reports it. */
export interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** The input of a schema: what a producer passes to `send`. */
export type InputOf<S extends Schema> = NonNullable<S['~standard']['types']>['input'];

/** The output of a schema: what a handler receives. */
export type OutputOf<S extends Schema> = NonNullable<S['~standard']['types']>['output'];

/** What a handler receives for a contract's messages: the output of its schema; for several contracts, the union. */
export type BodyOf<C extends { readonly schema: Schema }> = C extends unknown ? OutputOf<C['schema']> : never;

/** How many issues of one failed validation are kept. A schema can report one for each element of a large array. */
export const MAX_ISSUES = 20;

/** The result of {@link validate}: either the output or the issues. */
export type Validation<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly issues: readonly Issue[] };

/**
 * Runs a schema. Returns at once for a synchronous schema, and a promise for an asynchronous one; it awaits nothing that is
 * not a promise. Never throws or rejects: a schema that throws (zod's `safeParse` throws when a refinement throws, and for
 * very deep bodies) has refused the body.
 */
export function validate<T>(
  schema: Schema<unknown, T>,
  body: unknown,
): Validation<T> | Promise<Validation<T>> {
  try {
    const result = ask(schema, body);
    return 'then' in result ? result.then(toValidation).catch(refused) : toValidation(result);
  } catch (error) {
    return refused(error);
  }
}

/** True for promises of any kind. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

/** True for a value that a contract accepts as its schema. */
export function isSchema(value: unknown): value is Schema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard = (value as Partial<Schema>)['~standard'];
  return typeof standard === 'object' && standard !== null && typeof standard.validate === 'function';
}

function toValidation<T>(result: SchemaResult<T>): Validation<T> {
  if (!result.issues) return { ok: true, value: result.value };
  return { ok: false, issues: result.issues.slice(0, MAX_ISSUES).map(toIssue) };
}

function refused(error: unknown): { ok: false; issues: readonly Issue[] } {
  return { ok: false, issues: [{ message: `The schema threw: ${messageOf(error)}`, path: [] }] };
}

function toIssue(issue: SchemaIssue): Issue {
  // A plain array, because arktype's paths are not plain, and print an internal cache.
  const path = Array.from(issue.path ?? [], (segment) => {
    const key = typeof segment === 'object' ? segment.key : segment;
    return typeof key === 'number' ? key : String(key);
  });
  return { message: issue.message, path };
}
