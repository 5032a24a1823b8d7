import type { Contract } from '../contracts/types.js';
import { ClosedError, ConnectionError, isLeveretError, messageOf, TimeoutError } from '../errors.js';
import { joinErrorText } from '../messages/error-text.js';
import type { OutgoingMessage } from '../transport/port.js';
import { realTimers } from '../util/timers.js';
import { toMessage } from './envelope.js';
import type { RowOutcome, StoredRow } from './relay-store.js';

/** Sends a relay's messages. */
export interface MessageSender {
  /** True while the connection is open and no resource alarm blocks it. */
  readonly isUsable: boolean;
  /** Resolves when the message is confirmed and, if it is mandatory, routed. */
  send(contract: Contract, message: OutgoingMessage, options: MessageSendOptions): Promise<unknown>;
}

export interface MessageSendOptions {
  readonly dueInMs: number | undefined;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export interface RowSenderSettings {
  readonly contracts: ReadonlyMap<string, Contract>;
  readonly sender: MessageSender;
  readonly onSent: () => void;
  readonly onStuck: (row: StoredRow, attempts: number, error: Error) => void;
}

/** The time limit for a batch to send its rows: when a transaction is idle for 30 s, other relays receive them. */
const BATCH_MS = 20_000;

/** The time limit of one send, because the other rows of the table wait for it. */
const SEND_MS = 10_000;

const FIRST_RETRY_MS = 500;
const MAX_RETRY_MS = 30_000;

/** Sends the rows of one batch: those of one key one after another, the others all at once. */
export class RowSender {
  readonly #settings: RowSenderSettings;

  constructor(settings: RowSenderSettings) {
    this.#settings = settings;
  }

  /** Resolves with the outcomes of the rows that were tried. Never rejects. */
  async send(rows: readonly StoredRow[], takenAt: number, signal: AbortSignal): Promise<RowOutcome[]> {
    // Real time: a process that was frozen has none of it left when it wakes, and sends nothing more.
    const deadline = takenAt + BATCH_MS;
    const outcomes: RowOutcome[] = [];
    const sendRow = async (row: StoredRow) => {
      const outcome = await this.#sendRow(row, deadline, signal);
      if (outcome) outcomes.push(outcome);
      return outcome?.kind === 'sent';
    };
    const chains = [...chainsOf(rows)].map(async (chain) => {
      for (const row of chain) if (!(await sendRow(row))) return;
    });
    await Promise.all(chains);
    return outcomes;
  }

  async #sendRow(row: StoredRow, deadline: number, signal: AbortSignal): Promise<RowOutcome | undefined> {
    const { contracts, sender, onSent } = this.#settings;
    const leftMs = deadline - realTimers.now();
    if (leftMs <= 0 || signal.aborted || !sender.isUsable) return undefined;
    try {
      const message = toMessage(row.envelope, row.messageId, row.body);
      const contract = contracts.get(row.contract) as Contract;
      const options = { dueInMs: row.dueInMs, timeoutMs: Math.min(SEND_MS, leftMs), signal };
      await sender.send(contract, message, options);
      onSent();
      return { kind: 'sent', id: row.id };
    } catch (error) {
      return this.#isOfTheConnection(error, signal) ? undefined : this.#failed(row, error);
    }
  }

  /** True for a failure that says nothing about the row. */
  #isOfTheConnection(error: unknown, signal: AbortSignal): boolean {
    if (signal.aborted || error instanceof ClosedError || error instanceof ConnectionError) return true;
    return error instanceof TimeoutError && !this.#settings.sender.isUsable;
  }

  #failed(row: StoredRow, error: unknown): RowOutcome {
    const isStuck = !(isLeveretError(error) && error.retryable);
    if (isStuck) this.#settings.onStuck(row, row.attempts + 1, asError(error));
    return {
      kind: 'failed',
      id: row.id,
      delayMs: Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(row.attempts, 16)),
      isStuck,
      error: joinErrorText({ code: isLeveretError(error) ? error.code : 'ERROR', message: messageOf(error) }),
    };
  }
}

/** Rows that have to be sent one after another. */
function* chainsOf(rows: readonly StoredRow[]): Iterable<readonly StoredRow[]> {
  const byKey = new Map<string, StoredRow[]>();
  for (const row of rows) {
    if (row.key === undefined) yield [row];
    else if (byKey.has(row.key)) byKey.get(row.key)?.push(row);
    else byKey.set(row.key, [row]);
  }
  yield* byKey.values();
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(messageOf(error));
}
