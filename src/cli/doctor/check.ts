import type { BindingDeclaration, ExchangeDeclaration, QueueDeclaration } from '../../transport/port.js';
import type { Queue } from './server-state.js';
import type { Survey } from './survey.js';

/** A finding of the doctor, as it is printed. */
export interface Finding {
  readonly id: string;
  readonly severity: Severity;
  /** The queue, exchange, user, node or address in question. */
  readonly subject: string;
  readonly message: string;
  /** Shell lines that remove the finding, to be run in order and unchanged; if there are none, `message` says what to do. */
  readonly fix: readonly string[];
}

export type Severity = 'error' | 'warning';

/** A finding without its shell lines. */
export interface Draft extends Omit<Finding, 'id' | 'fix'> {
  readonly remedy?: Remedy;
}

export type Remedy =
  | { readonly kind: 'lines'; readonly lines: readonly string[] }
  /** Written together with the others of the same queue, which has one policy and is declared once. */
  | { readonly kind: 'queue'; readonly queue: Queue; readonly change: QueueChange };

/** How a queue should change. */
export interface QueueChange {
  /** Its policy adds a place for its dead letters. */
  readonly deadLetters?: true;
  /** The new values in its policy; undefined: removed. */
  readonly policy?: Readonly<Record<string, unknown>>;
  /** The new values of its arguments; undefined: removed. This requires declaring the queue again. */
  readonly arguments?: Readonly<Record<string, unknown>>;
  /** The queue is declared again like this. */
  readonly as?: QueueDeclaration;
  /** The queue is deleted, and its program declares it again. */
  readonly gone?: true;
  /** What must exist beside it. */
  readonly parts?: Parts;
}

/** Things that can be declared. */
export interface Parts {
  readonly queues?: readonly QueueDeclaration[];
  readonly exchanges?: readonly ExchangeDeclaration[];
  readonly bindings?: readonly BindingDeclaration[];
}

/** Why a check could not run. */
export interface Skipped {
  readonly skipped: string;
}

/** One kind of finding. Pure: it inspects what was read. */
export interface Check {
  readonly id: string;
  run(survey: Survey): readonly Draft[] | Skipped;
}
