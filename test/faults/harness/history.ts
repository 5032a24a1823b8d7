import { type Entry, type Kind, readJournal } from './journal.js';
import type { RunRecord } from './run.js';

/** One run of a handler. */
export interface HandlerRun {
  readonly program: string;
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  readonly how: 'done' | 'failed' | undefined;
  readonly id: string | undefined;
  readonly attempt: number;
  readonly redelivered: boolean;
}

/** All that the journals tell of one message. */
export interface MessageHistory {
  readonly kind: Kind;
  readonly program: string;
  readonly sentAt: number;
  settled:
    | { readonly at: number; readonly id?: string; readonly code?: string; readonly maybeDelivered?: boolean }
    | undefined;
  readonly runs: HandlerRun[];
}

export interface History {
  readonly messages: ReadonlyMap<string, MessageHistory>;
  /** The rest, by program. */
  readonly others: ReadonlyMap<string, readonly Entry[]>;
  /** Runs of messages that were never sent. */
  readonly strangers: number;
}

/** Joins what all programs noted. */
export async function readHistory({ programs }: RunRecord): Promise<History> {
  const messages = new Map<string, MessageHistory>();
  const others = new Map<string, Entry[]>();
  let strangers = 0;
  const producersFirst = [...programs].sort((a, b) => b.role.localeCompare(a.role));
  for (const { name, journal } of producersFirst) {
    const rest: Entry[] = [];
    others.set(name, rest);
    const open = new Map<number, HandlerRun & { endedAt: number | undefined; how: HandlerRun['how'] }>();
    for await (const entry of readJournal(journal)) {
      switch (entry.e) {
        case 'send':
          messages.set(entry.k, {
            kind: entry.kind,
            program: name,
            sentAt: entry.t,
            settled: undefined,
            runs: [],
          });
          break;
        case 'sent':
        case 'failed': {
          const message = messages.get(entry.k);
          const { t, e, k, ...outcome } = entry;
          if (message) message.settled = { at: t, ...(outcome as object) };
          break;
        }
        case 'start': {
          const { t: startedAt, id, attempt, redelivered } = entry;
          const run = {
            program: name,
            startedAt,
            endedAt: undefined,
            how: undefined,
            id,
            attempt,
            redelivered,
          };
          open.set(entry.run, run);
          const message = messages.get(entry.k);
          if (message) message.runs.push(run);
          else strangers++;
          break;
        }
        case 'end': {
          const run = open.get(entry.run);
          if (run) Object.assign(run, { endedAt: entry.t, how: entry.how });
          open.delete(entry.run);
          break;
        }
        default:
          rest.push(entry);
      }
    }
  }
  for (const { runs } of messages.values()) runs.sort((a, b) => a.startedAt - b.startedAt);
  return { messages, others, strangers };
}
