import { inspect } from 'node:util';
import { Logger as NestLogger } from '@nestjs/common';
import type { Logger } from '../index.js';

/** Passes a broker's log entries to Nest's logger, as one text, because Nest's loggers take no objects beside the text. */
export class BrokerLogger implements Logger {
  readonly #logger = new NestLogger('Leveret');
  readonly #omitted: string | undefined;

  /** @param omitted - an entry that is written in another way */
  constructor(omitted?: string) {
    this.#omitted = omitted;
  }

  debug(details: object, message: string): void {
    this.#logger.debug(describe(details, message));
  }

  info(details: object, message: string): void {
    this.#logger.log(describe(details, message));
  }

  warn(details: object, message: string): void {
    const stack = message === 'handler-error' ? stackOf(details) : undefined;
    this.#logger.warn(describe(details, message) + (stack ? `\n${stack}` : ''));
  }

  error(details: object, message: string): void {
    if (message === this.#omitted) return;
    this.#logger.error(describe(details, message), stackOf(details));
  }
}

/** `dead-lettered: the mail server is down (queue: emails, attempt: 5)`. */
function describe(details: object, message: string): string {
  const { err, ...rest } = details as { readonly err?: unknown };
  const pairs = Object.entries(rest).flatMap(([name, value]) =>
    value === undefined
      ? []
      : [`${name}: ${typeof value === 'string' ? value : inspect(value, { breakLength: Infinity })}`],
  );
  const reason = err === undefined ? '' : `: ${err instanceof Error ? err.message : String(err)}`;
  return message + reason + (pairs.length > 0 ? ` (${pairs.join(', ')})` : '');
}

function stackOf(details: object): string | undefined {
  const { err } = details as { readonly err?: unknown };
  return err instanceof Error ? err.stack : undefined;
}
