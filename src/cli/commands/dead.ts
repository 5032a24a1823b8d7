import type { QueueContract } from '../../contracts/types.js';
import type { DeadLetterEntry } from '../../dead-letters/entry.js';
import { isLeveretError } from '../../errors.js';
import { bareQueue, undeclared } from '../bare-contracts.js';
import { bodyOf } from '../body.js';
import type { Invocation } from '../command.js';
import { loadContracts, queueNamed } from '../contracts.js';
import { CommandFailure, EXIT, type ExitCode, usageError } from '../failure.js';
import { Management, ManagementFailure } from '../management.js';
import { shown } from '../secrets.js';
import type { Where } from '../server-address.js';
import { type Column, counted, printable, table, toJson } from '../text.js';
import { type Session, withBroker } from '../with-broker.js';

/** The most dead letters that are held in memory to find one. */
const MAX_LETTERS = 100_000;

/** How long the management API may take to name the dead-letter queue. */
const LOOK_UP_MS = 2_000;

/** `dead list` */
export async function list(invocation: Invocation): Promise<ExitCode> {
  const { terminal, json, values, signal } = invocation;
  const limit = values.integer('limit', { min: 1, max: MAX_LETTERS }) ?? 20;
  return withLetters(invocation, async ({ letters, total, contract }) => {
    const entries = await letters.list({ limit, signal });
    if (json) {
      await terminal.print(toJson(entries.map(described)));
      return EXIT.done;
    }
    const { bold, dim, good } = terminal.palette;
    if (entries.length === 0) {
      await terminal.print(good(`No dead letters of '${printable(contract.name)}'.`));
      return EXIT.done;
    }
    const columns: readonly Column[] = [
      { title: 'ID' },
      { title: 'FAILED', isOptional: true },
      { title: 'ATTEMPT', align: 'right', isOptional: true },
      { title: 'BYTES', align: 'right', isOptional: true },
      { title: 'ERROR' },
    ];
    const rows = entries.map((entry) => [
      printable(entry.id ?? '-'),
      entry.failedAt?.toISOString().replace(/\.\d+Z$/, 'Z') ?? '-',
      String(entry.attempt),
      String(entry.raw.length),
      printable(`${entry.error.code}: ${entry.error.message}`),
    ]);
    await terminal.print(...table(columns, rows, { width: terminal.width, bold }));
    if (total > entries.length)
      await terminal.print(dim(`${entries.length} of ${total}; --limit shows more.`));
    return EXIT.done;
  });
}

/** `dead show` */
export async function show(invocation: Invocation): Promise<ExitCode> {
  const { terminal, json, positionals, signal } = invocation;
  const [, id = ''] = positionals;
  return withLetters(invocation, async ({ letters, contract }) => {
    const entries = await letters.list({ limit: MAX_LETTERS, signal });
    const entry = entries.find((it) => it.id === id);
    if (!entry) {
      if (json) await terminal.print('null');
      terminal.warn(
        `leveret: '${printable(contract.name)}' has no dead letter with the id ${printable(shown(id))}`,
      );
      return EXIT.no;
    }
    const body = bodyOf(entry.raw);
    if (json) await terminal.print(toJson({ ...described(entry), ...body }));
    else await terminal.print(...page(entry, terminal.palette.bold));
    return EXIT.done;
  });
}

/** `dead replay` */
export async function replay(invocation: Invocation): Promise<ExitCode> {
  const { terminal, json, values, signal } = invocation;
  const limit = values.integer('limit', { min: 1, max: Number.MAX_SAFE_INTEGER });
  const ratePerSecond = values.number('rate', { min: 0.01, max: 100_000 });
  const ids = new Set(values.all('id'));
  const yes = values.flag('yes');
  terminal.requireConsent('dead replay', yes);
  return withLetters(invocation, async ({ letters, total, contract }) => {
    const most = Math.min(total, limit ?? total, ids.size || total);
    const what = `up to ${counted(most, 'dead letter')}`;
    if (total > 0)
      await terminal.confirm(`Put ${what} back into '${printable(contract.name)}'?`, yes, signal);
    const found = new Set<string>();
    const isAskedFor = ({ id = '' }: DeadLetterEntry) => {
      if (ids.has(id)) found.add(id);
      return ids.has(id);
    };
    const result = await letters.replay({
      signal,
      ...(limit === undefined ? {} : { limit }),
      ...(ratePerSecond === undefined ? {} : { ratePerSecond }),
      ...(ids.size === 0 ? {} : { filter: isAskedFor }),
      onProgress: ({ done, total: all }) => terminal.progress('replaying', done, all),
    });
    const { replayed, invalid, skipped } = result;
    // What does not fit is of no interest once everything that was asked for is found.
    const isIncomplete = ids.size > 0 ? found.size < ids.size : invalid > 0;
    if (json) await terminal.print(toJson({ replayed, invalid, skipped }));
    else {
      const { good, warning } = terminal.palette;
      await terminal.print(
        `${good('Put back')} ${counted(replayed, 'message')} into '${printable(contract.name)}'.`,
      );
      if (invalid > 0 && isIncomplete) {
        await terminal.print(
          warning(`${counted(invalid, 'letter')} stayed: the body does not fit today's schema.`),
        );
      }
      if (skipped > 0) await terminal.print(`${counted(skipped, 'letter')} stayed: not asked for.`);
    }
    return isIncomplete ? EXIT.no : EXIT.done;
  });
}

/** `dead purge` */
export async function purge(invocation: Invocation): Promise<ExitCode> {
  const { terminal, json, values, signal } = invocation;
  const yes = values.flag('yes');
  terminal.requireConsent('dead purge', yes);
  return withLetters(invocation, async ({ letters, total, contract }) => {
    const name = printable(contract.name);
    if (total > 0) {
      await terminal.confirm(`Remove ${counted(total, 'dead letter')} of '${name}' for good?`, yes, signal);
    }
    const removed = await letters.purge();
    if (json) await terminal.print(toJson({ removed }));
    else
      await terminal.print(
        `${terminal.palette.good('Removed')} ${counted(removed, 'dead letter')} of '${name}'.`,
      );
    return EXIT.done;
  });
}

interface Letters {
  readonly letters: ReturnType<Session['broker']['deadLetters']>;
  readonly contract: QueueContract;
  /** How many messages are ready in the dead-letter queue, those of other queues included. */
  readonly total: number;
}

async function withLetters(
  invocation: Invocation,
  work: (letters: Letters) => Promise<ExitCode>,
): Promise<ExitCode> {
  const [name = ''] = invocation.positionals;
  if (name === '') throw usageError('the name of the queue is missing');
  const known = await contractOf(name, invocation);
  return withBroker(invocation, async ({ broker, where }) => {
    const contract = known ?? (await bareContract(name, where, invocation.signal));
    // Checked first: no command declares a queue, but reading the dead letters of a missing one might.
    const { messages } = await statsOf(broker, contract);
    return work({ letters: broker.deadLetters(contract), contract, total: messages });
  });
}

async function statsOf(broker: Session['broker'], { name, deadLetter = '' }: QueueContract) {
  try {
    return await broker.stats(deadLetter);
  } catch (error) {
    if (!isLeveretError(error) || error.code !== 'NOT_FOUND') throw error;
    const text = `'${printable(name)}' has no dead letters: there is no queue '${printable(deadLetter)}'`;
    throw new CommandFailure(EXIT.no, text);
  }
}

async function contractOf(name: string, { values }: Invocation): Promise<QueueContract | undefined> {
  const files = values.all('contracts');
  if (files.length === 0) return undefined;
  const contract = queueNamed(await loadContracts(files), name);
  if (!contract) throw usageError(`no contract of --contracts is for the queue ${shown(name)}`);
  if (contract.deadLetter === undefined)
    throw usageError(`the contract of ${shown(name)} has no dead letters`);
  return undeclared(contract);
}

/**
 * A queue without a contract: every body is accepted. Its arguments say where its dead letters are, as far as they are known.
 */
async function bareContract(
  name: string,
  { management, vhost }: Where,
  signal: AbortSignal,
): Promise<QueueContract> {
  const contract = bareQueue(name, 'bytes');
  try {
    const client = new Management(management, signal, LOOK_UP_MS);
    const { arguments: args } = await client.get<{ arguments: Record<string, unknown> }>([
      'queues',
      vhost,
      name,
    ]);
    const { 'x-dead-letter-exchange': exchange, 'x-dead-letter-routing-key': key } = args;
    return exchange === '' && typeof key === 'string' ? { ...contract, deadLetter: key } : contract;
  } catch (error) {
    if (!(error instanceof ManagementFailure)) throw error;
    return contract;
  }
}

function described({ id, error, issues, attempt, queue, failedAt, raw }: DeadLetterEntry) {
  return {
    id: id ?? null,
    error: { code: error.code, message: error.message },
    issues: issues ?? null,
    attempt,
    queue,
    failedAt: failedAt?.toISOString() ?? null,
    bytes: raw.length,
  };
}

function page(entry: DeadLetterEntry, bold: (text: string) => string): string[] {
  const body = bodyOf(entry.raw);
  const fields: [string, string][] = [
    ['id', entry.id ?? '-'],
    ['queue', entry.queue],
    ['attempt', String(entry.attempt)],
    ['failed', entry.failedAt?.toISOString() ?? '-'],
    ['error', `${entry.error.code}: ${entry.error.message}`],
    ...(entry.issues ?? []).map(({ path, message }): [string, string] => [
      'issue',
      `${path.join('.') || '(body)'}: ${message}`,
    ]),
    ['bytes', String(entry.raw.length)],
  ];
  const text =
    'body' in body ? JSON.stringify(body.body, undefined, 2).split('\n') : [`base64 ${body.bodyBase64}`];
  return [
    ...fields.map(([name, value]) => `${bold(name.padEnd(8))} ${printable(value)}`),
    bold('body'),
    ...text.map(printable),
  ];
}
