import { type Issue, messageOf } from '../../errors.js';
import type { Schema, SchemaIssue, SchemaResult } from './schema.js';
import { ask } from './zod.js';

/** The most issues that are kept of one failed validation. A schema can report one for each element of a large array. */
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
