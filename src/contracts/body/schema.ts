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

/** True for a value that a contract accepts as its schema. */
export function isSchema(value: unknown): value is Schema {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false;
  const standard = (value as Partial<Schema>)['~standard'];
  return typeof standard === 'object' && standard !== null && typeof standard.validate === 'function';
}
