import { ConfigurationError } from '../errors.js';
import { type Check, checkOptions, expectFunction, expectString, show } from '../util/checks.js';

/** The options of {@link asyncapi}. */
export interface AsyncApiOptions {
  /** The name of the application or of the system. */
  readonly title: string;
  /** The version of what the document describes, such as `1.4.0`. */
  readonly version: string;
  /** A description in CommonMark. */
  readonly description?: string | undefined;
  /** The URLs of the servers, by names of your choice. Users and passwords in them are dropped. */
  readonly servers?: Readonly<Record<string, string>> | undefined;
  /**
   * Converts a schema that does not convert itself into JSON Schema draft-07 of its input: `toJsonSchema` of
   * `@valibot/to-json-schema`, `zodToJsonSchema` of `zod-to-json-schema` for zod 3.
   */
  readonly toJsonSchema?: ((schema: never) => object) | undefined;
}

/** The options with their types checked. */
export interface ResolvedAsyncApiOptions {
  readonly title: string;
  readonly version: string;
  readonly description: string | undefined;
  readonly servers: Readonly<Record<string, string>> | undefined;
  readonly toJsonSchema: ((schema: unknown) => unknown) | undefined;
}

const WHERE = 'asyncapi(…)';

/** @throws ConfigurationError for a missing title or version, an unknown option or a wrong value */
export function resolveAsyncApiOptions(options: AsyncApiOptions): ResolvedAsyncApiOptions {
  checkOptions(WHERE, options ?? null, checks);
  for (const key of ['title', 'version'] as const) {
    if (options[key] !== undefined) continue;
    throw new ConfigurationError(key, `${WHERE}: option '${key}' must be a non-empty string, got undefined`);
  }
  const { title, version, description, servers, toJsonSchema } = options;
  return {
    title,
    version,
    description,
    servers,
    // It accepts the schemas of one library; calling it shows which ones.
    toJsonSchema: toJsonSchema as ResolvedAsyncApiOptions['toJsonSchema'],
  };
}

const isText: Check = (value) =>
  typeof value === 'string' && value !== '' ? undefined : 'a non-empty string';

const isUrlMap: Check = (value) => {
  const isMap = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isMap && Object.values(value).every((url) => typeof url === 'string')
    ? undefined
    : 'an object of URLs by name';
};

const checks: Readonly<Record<string, Check>> = {
  title: isText,
  version: isText,
  description: expectString,
  servers: isUrlMap,
  toJsonSchema: expectFunction,
};

/** @throws ConfigurationError unless it is a list */
export function checkList(contracts: unknown): asserts contracts is readonly unknown[] {
  if (Array.isArray(contracts)) return;
  throw new ConfigurationError(
    'contracts',
    `${WHERE}: expected an array of contracts, got ${show(contracts)}`,
  );
}
