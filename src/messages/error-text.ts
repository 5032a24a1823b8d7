import { isLeveretError, messageOf } from '../errors.js';
import { cutText } from './headers.js';

/** The two parts of an error's text, `CODE: message`. */
export interface ErrorParts {
  readonly code: string;
  readonly message: string;
}

/** The code (or the name) and the message of an error, in the form of its header. Never throws, whatever was thrown. */
export function errorText(error: unknown): string {
  return cutText(joinErrorText({ code: codeOf(error), message: messageOf(error) }));
}

export function joinErrorText({ code, message }: ErrorParts): string {
  return `${code}: ${message}`;
}

/** @param fallbackCode - the code of a text that names none */
export function splitErrorText(text: string, fallbackCode: string): ErrorParts {
  const at = text.indexOf(': ');
  return at < 0
    ? { code: fallbackCode, message: text }
    : { code: text.slice(0, at), message: text.slice(at + 2) };
}

/** An error's code can be a getter that throws. A code that is not a string, such as a symbol, does not count. */
function codeOf(error: unknown): string {
  try {
    if (isLeveretError(error)) return error.code;
    // Not only for an `Error`: many clients throw plain objects, and test runners have errors of another realm.
    const { code, name } = Object(error) as { readonly code?: unknown; readonly name?: unknown };
    return [code, name].find((it): it is string => typeof it === 'string' && it !== '') ?? 'Error';
  } catch {
    return 'Error';
  }
}
