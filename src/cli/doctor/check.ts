import type { BindingDeclaration, ExchangeDeclaration, QueueDeclaration } from '../../transport/port.js';
import type { Queue } from './server-state.js';
import type { Survey } from './survey.js';

/** What the doctor found, as it is printed. */
export interface Finding {
  readonly id: string;
  readonly severity: Severity;
  /** The queue, exchange, user, node or address in question. */
  readonly subject: string;
  readonly message: string;
  /** Shell lines that remove it, to be run in order as they stand; none: `message` says what to do. */
  readonly fix: readonly string[];
}

export type Severity = 'error' | 'warning';

/** A finding whose shell lines are not written yet. */
export interface Draft extends Omit<Finding, 'id' | 'fix'> {
  readonly remedy?: Remedy;
}

export type Remedy =
  | { readonly kind: 'lines'; readonly lines: readonly string[] }
  /** Written together with the others of the same queue: it has one policy, and is declared once. */
  | { readonly kind: 'queue'; readonly queue: Queue; readonly change: QueueChange };

/** How a queue is to be changed. */
export interface QueueChange {
  /** Its policy gives it a place for its dead letters. */
  readonly deadLetters?: true;
  /** What its policy says from now on; undefined: nothing. */
  readonly policy?: Readonly<Record<string, unknown>>;
  /** The arguments that it is declared with from now on; undefined: none. A queue can only be declared anew. */
  readonly arguments?: Readonly<Record<string, unknown>>;
  /** It is declared anew like this. */
  readonly as?: QueueDeclaration;
  /** It goes, and is for its program to declare again. */
  readonly gone?: true;
  /** What has to be there beside it. */
  readonly parts?: Parts;
}

/** What can be declared. */
export interface Parts {
  readonly queues?: readonly QueueDeclaration[];
  readonly exchanges?: readonly ExchangeDeclaration[];
  readonly bindings?: readonly BindingDeclaration[];
}

/** Why a check could not be made. */
export interface Skipped {
  readonly skipped: string;
}

/** One thing to look for. Pure: it looks at what was read. */
export interface Check {
  readonly id: string;
  run(survey: Survey): readonly Draft[] | Skipped;
}
