import type { Broker } from '../../broker/broker.js';
import { isLeveretError } from '../../errors.js';
import type { Invocation } from '../command.js';
import { loadContracts } from '../contracts.js';
import type { Finding } from '../doctor/check.js';
import { checks } from '../doctor/checks.js';
import { type IdentifiedDraft, writeFixes } from '../doctor/fixes.js';
import type { Topology } from '../doctor/server-state.js';
import { type Survey, surveyOf } from '../doctor/survey.js';
import { EXIT, type ExitCode } from '../failure.js';
import { greet } from '../greeting.js';
import { resolveWhere } from '../server-address.js';
import type { Terminal } from '../terminal.js';
import { counted, printable, toJson, wrapped } from '../text.js';
import { withBroker } from '../with-broker.js';

/** Leveret's own default. */
const HANDLER_TIMEOUT_MS = 1_200_000;

interface CheckResult {
  readonly id: string;
  readonly status: 'ok' | 'finding' | 'skipped';
  readonly reason?: string;
}

/** Inspects a virtual host, and changes nothing. */
export async function run(invocation: Invocation): Promise<ExitCode> {
  const { values, env, secrets, signal, positionals, terminal, json } = invocation;
  const where = resolveWhere(values, env, secrets, positionals[0]);
  const handlerTimeoutMs =
    values.integer('handler-timeout', { min: 1, max: 2 ** 31 - 1 }) ?? HANDLER_TIMEOUT_MS;
  const contracts = await loadContracts(values.all('contracts'));
  const greeting = await greet(where, signal);
  const survey = await surveyOf({ where, greeting, contracts, handlerTimeoutMs, signal });
  const { results, drafts } = examine(survey);
  const findings = await mended(invocation, survey, drafts);
  const server = { address: where.label, version: greeting.version, management: survey.hasManagement };
  if (json) await terminal.print(toJson({ server, checks: results, findings }));
  else await terminal.print(...report(terminal, server, results, findings));
  return findings.length === 0 ? EXIT.done : EXIT.no;
}

function examine(survey: Survey): { readonly results: CheckResult[]; readonly drafts: IdentifiedDraft[] } {
  const drafts: IdentifiedDraft[] = [];
  const results = checks.map(({ id, run: look }): CheckResult => {
    const found = look(survey);
    if ('skipped' in found) return { id, status: 'skipped', reason: found.skipped };
    drafts.push(...found.map((draft) => ({ ...draft, id })));
    return { id, status: found.length === 0 ? 'ok' : 'finding' };
  });
  return { results, drafts };
}

/** The findings with the lines that fix them. The server itself is asked now whether a queue is empty. */
async function mended(
  invocation: Invocation,
  survey: Survey,
  drafts: readonly IdentifiedDraft[],
): Promise<readonly Finding[]> {
  const { topology, where, greeting } = survey;
  if ('missing' in topology) return writeFixes(drafts, undefined);
  const settings = {
    topology: topology.value,
    vhost: where.vhost,
    version: greeting.version,
    examine: (value: Topology) => examine({ ...survey, topology: { value } }).drafts,
  };
  const isAnyQueue = drafts.some(({ remedy }) => remedy?.kind === 'queue');
  if (!isAnyQueue || greeting.vhost.status !== 'open') {
    return writeFixes(drafts, { ...settings, isIdle: async () => false });
  }
  return withBroker(
    invocation,
    ({ broker }) => writeFixes(drafts, { ...settings, isIdle: (name) => isIdle(broker, name) }),
    invocation.positionals[0],
  );
}

async function isIdle(broker: Broker, queue: string): Promise<boolean> {
  try {
    const { messages, consumers } = await broker.stats(queue);
    return messages === 0 && consumers === 0;
  } catch (error) {
    if (isLeveretError(error) && error.name === 'TopologyError') return false;
    throw error;
  }
}

function report(
  { palette, width = Number.POSITIVE_INFINITY }: Terminal,
  server: { readonly address: string; readonly version: string; readonly management: boolean },
  results: readonly CheckResult[],
  findings: readonly Finding[],
): string[] {
  const { bold, dim, good, warning, bad } = palette;
  const paint = { error: bad, warning };
  const lines = [`${bold(printable(server.address))} ${dim(`RabbitMQ ${printable(server.version)}`)}`, ''];
  for (const { id, severity, subject, message, fix } of findings) {
    const mark = severity === 'error' ? '✗' : '!';
    lines.push(`${paint[severity](`${mark} ${id}`)} ${bold(printable(subject))}`);
    lines.push(...wrapped(printable(message), '  ', width));
    lines.push(...fix.map((it) => `    ${it}`), '');
  }
  const skipped = results.filter(({ status }) => status === 'skipped');
  for (const reason of new Set(skipped.map((it) => it.reason ?? ''))) {
    const ids = skipped.filter((it) => it.reason === reason).map(({ id }) => id);
    lines.push(...wrapped(`Skipped ${ids.join(', ')}: ${printable(reason)}`, '', width).map(dim));
  }
  const ok = results.length - skipped.length;
  lines.push(
    findings.length === 0
      ? good(`No findings in ${counted(ok, 'check')}.`)
      : bold(`${counted(findings.length, 'finding')} in ${counted(ok, 'check')}.`),
  );
  return lines;
}
