import { parseArgs } from 'node:util';
import { usageError } from './failure.js';
import { shown } from './secrets.js';
import { nearest } from './text.js';

/** One option of a command, for the parser and the help. */
export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  /** May be given several times. */
  readonly multiple?: true;
  readonly short?: string;
  /** The name of its value in the help. */
  readonly value?: string;
  readonly help: string;
  /** The kind of its value, for the completion: files, or queues. */
  readonly complete?: 'file' | 'queue';
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** The parsed command line, before its values are checked. */
export interface Arguments {
  readonly positionals: readonly string[];
  readonly values: OptionValues;
}

/**
 * Parses with Node's own `parseArgs`, which is sufficient and needs no package. Not in its strict mode, whose errors repeat
 * the arguments, and with them perhaps a password.
 *
 * @throws CommandFailure with the exit code for wrong usage
 */
export function parse(given: readonly string[], specs: OptionSpecs): Arguments {
  const options = Object.fromEntries(
    Object.entries(specs).map(([name, { type, short, multiple = false }]) => [
      name,
      { type, multiple, ...(short === undefined ? {} : { short }) },
    ]),
  );
  const { tokens, positionals } = parseArgs({
    args: [...given],
    options,
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, (string | true)[]>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined;
    if (!spec) throw unknownOption(token.rawName, Object.keys(specs));
    if (spec.type === 'boolean' && token.value !== undefined) {
      throw usageError(`the option --${token.name} takes no value`);
    }
    // An option without a value takes the next argument that looks like an option: a forgotten value, or one that begins with
    // '-'.
    const isMissing =
      spec.type === 'string' &&
      (token.value === undefined || (!token.inlineValue && token.value.startsWith('--')));
    if (isMissing)
      throw usageError(`the option --${token.name} needs a value${spec.value ? `: ${spec.value}` : ''}`);
    const before = values.get(token.name) ?? [];
    if (before.length > 0 && !spec.multiple) throw usageError(`the option --${token.name} is given twice`);
    values.set(token.name, [...before, token.value ?? true]);
  }
  return { positionals, values: new OptionValues(values) };
}

function unknownOption(rawName: string, known: readonly string[]) {
  const name = rawName.replace(/^-+/, '');
  const near = nearest(name, known);
  const hint = near === undefined ? '' : `; did you mean --${near}?`;
  return usageError(`unknown option ${shown(rawName)}${hint}`);
}

/** The values of the options, each checked when it is read. */
export class OptionValues {
  readonly #values: ReadonlyMap<string, readonly (string | true)[]>;

  constructor(values: ReadonlyMap<string, readonly (string | true)[]>) {
    this.#values = values;
  }

  flag(name: string): boolean {
    return this.#values.has(name);
  }

  /** Every value of an option that may be given several times. */
  all(name: string): readonly string[] {
    return (this.#values.get(name) ?? []).map(String);
  }

  text(name: string): string | undefined {
    return this.all(name)[0];
  }

  /** @throws CommandFailure unless it is a whole number in the range */
  integer(name: string, range: { readonly min: number; readonly max: number }): number | undefined {
    return this.#number(name, range, /^\d+$/, 'a whole number');
  }

  /** @throws CommandFailure unless it is a number in the range */
  number(name: string, range: { readonly min: number; readonly max: number }): number | undefined {
    return this.#number(name, range, /^\d+(?:\.\d+)?$/, 'a number');
  }

  #number(
    name: string,
    { min, max }: { readonly min: number; readonly max: number },
    pattern: RegExp,
    what: string,
  ): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (pattern.test(text) && value >= min && value <= max) return value;
    throw usageError(`the option --${name} must be ${what} from ${min} to ${max}, got ${shown(text)}`);
  }
}
