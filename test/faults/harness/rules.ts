import type { History, MessageHistory } from './history.js';
import type { Entry } from './journal.js';
import { SEND_TIMEOUT_MS } from './limits.js';
import type { RunRecord } from './run.js';

/** What a run has to keep to. Each rule returns what breaks it. */
type Rule = (run: RunRecord, history: History) => Iterable<string>;

/** How late a promise may settle on a machine that has much else to do. */
const SLACK_MS = 5_000;
const CLOSE_TIMEOUT_MS = 25_000;
const ASK_TIMEOUT_MS = 30_000;
/** Promised is one second. */
export const RECOVERY_LIMIT_MS = 5_000;
const MAX_HEAP_BYTES = 150 * 1024 * 1024;
const MAX_RSS_BYTES = 500 * 1024 * 1024;
const MAX_GROWTH_BYTES = 25 * 1024 * 1024;

/** With the pauses of the workload it is about ten for each of two connections. */
const MAX_ATTEMPTS_PER_SECOND = 80;

/** One that publishes and one that consumes; a producer needs the second when an alarm has blocked the first. */
const sockets = { producer: 2, consumer: 2 };

const isDone = ({ runs }: MessageHistory) => runs.some(({ how }) => how === 'done');

export const rules = {
  *'no resolved send is missing'({ leftovers }, { messages }) {
    const dead = new Set(leftovers.deadLetters);
    const queued = new Set(leftovers.queued.map(({ k }) => k));
    for (const [k, message] of messages) {
      if (message.settled?.id === undefined) continue;
      if (isDone(message) || dead.has(k) || queued.has(k)) continue;
      yield `${k} (${message.kind}) was sent and is nowhere; ${message.runs.length} runs`;
    }
  },

  *'what cannot be handled is a dead letter'({ leftovers }, { messages }) {
    const dead = new Set(leftovers.deadLetters);
    for (const [k, { kind, settled, runs }] of messages) {
      const isHopeless = kind === 'stubborn' || kind === 'dead' || kind === 'invalid';
      if (isHopeless && settled?.id !== undefined && !dead.has(k)) yield `${k} (${kind}) is no dead letter`;
      if (kind === 'invalid' && runs.length > 0) yield `${k} is invalid and was handled`;
    }
  },

  /**
   * On the wire: on each channel no more verdicts than its program had handlers that had ended before. A message that came back
   * after the last of its attempts is made a dead letter without a run.
   */
  *'nothing is acknowledged before its handler has ended'({ network, leftovers }, { messages }) {
    const dead = new Set(leftovers.deadLetters);
    const counts = new Map<string, number>();
    for (const { t, kind, program, channel, k } of network.observer.verdicts) {
      const message = messages.get(k);
      if (!message || message.kind === 'invalid') continue;
      const key = `${channel} ${k}`;
      const count = (counts.get(key) ?? 0) + 1;
      counts.set(key, count);
      const ended = message.runs.filter(
        (run) => run.program === program && (run.endedAt ?? Infinity) <= t,
      ).length;
      if (count > ended && !dead.has(k))
        yield `${program} sent a basic.${kind} for ${k} before its handler had ended`;
    }
  },

  'no unknown delivery tag': ({ network }) => network.observer.violations,

  *'every duplicate can be recognised'({ firstFaultAt }, { messages }) {
    for (const [k, message] of messages) {
      const done = message.runs.filter(({ how }) => how === 'done');
      const ids = new Set(message.runs.map(({ id }) => id));
      if (ids.size > 1) yield `${k} came with ${ids.size} ids`;
      if (message.settled?.id !== undefined && message.runs.some(({ id }) => id !== message.settled?.id))
        yield `${k} came with another id than it was sent with`;
      const [, again] = done;
      if (again && again.startedAt < firstFaultAt) yield `${k} was handled twice before the first fault`;
    }
  },

  /** On the wire: no program ran a handler more often than it got the message, or took a marked delivery for a first one. */
  *'no delivery is handled twice, and `redelivered` is never missing'({ network }, { messages }) {
    for (const [k, { runs }] of messages) {
      for (const program of new Set(runs.map((run) => run.program))) {
        const here = runs.filter((run) => run.program === program);
        const unmarked = here.filter(({ redelivered }) => !redelivered);
        const came = network.observer.deliveries.get(`${program} ${k}`) ?? { all: 0, unmarked: 0 };
        if (here.length > came.all)
          yield `${program} handled ${k} ${here.length} times and got it ${came.all} times`;
        if (unmarked.length > came.unmarked)
          yield `${program} took ${k} for new ${unmarked.length} times, and the server ${came.unmarked} times`;
      }
    }
  },

  *'every send settles in its time'(_run, { messages }) {
    for (const [k, { sentAt, settled }] of messages) {
      if (!settled) yield `the send of ${k} never settled`;
      else if (settled.at - sentAt > SEND_TIMEOUT_MS + SLACK_MS)
        yield `the send of ${k} took ${Math.round(settled.at - sentAt)} ms`;
    }
  },

  /** `maybeDelivered: false` is a promise. */
  *'what was certainly not sent does not arrive'({ leftovers }, { messages }) {
    const found = new Set([...leftovers.deadLetters, ...leftovers.queued.map(({ k }) => k)]);
    for (const [k, { settled, runs }] of messages) {
      if (settled?.maybeDelivered === false && (runs.length > 0 || found.has(k)))
        yield `${k} was surely not sent (${settled.code}) and arrived`;
    }
  },

  *'every other promise settles in its time'({ programs }, { others }) {
    for (const { name, wasKilled } of programs) {
      const entries = others.get(name) ?? [];
      for (const entry of entries) {
        if (entry.e === 'asked' && entry.ms > ASK_TIMEOUT_MS + SLACK_MS)
          yield `${name}: a question took ${Math.round(entry.ms)} ms`;
        if (entry.e === 'closed' && (entry.ms > CLOSE_TIMEOUT_MS + SLACK_MS || !entry.clean))
          yield `${name}: close took ${Math.round(entry.ms)} ms, clean: ${entry.clean}`;
      }
      if (!wasKilled && !entries.some(({ e }) => e === 'closed')) yield `${name} never closed`;
    }
  },

  *'everything works again soon after each fault'({ faults }) {
    for (const { name, recoveredAfterMs } of faults) {
      if (recoveredAfterMs === undefined) yield `nothing worked any more after: ${name}`;
      else if (recoveredAfterMs > RECOVERY_LIMIT_MS)
        yield `${Math.round(recoveredAfterMs)} ms to recover from: ${name}`;
    }
  },

  *'memory is bounded and does not grow'({ programs }, { others }) {
    for (const { name } of programs) {
      const samples = (others.get(name) ?? []).filter((entry) => entry.e === 'memory');
      const heaps = samples.map(({ heapBytes }) => heapBytes);
      const most = Math.max(0, ...heaps);
      if (most > MAX_HEAP_BYTES) yield `${name} had a heap of ${toMiB(most)} MiB`;
      const mostRss = Math.max(0, ...samples.map(({ rssBytes }) => rssBytes));
      if (mostRss > MAX_RSS_BYTES) yield `${name} took ${toMiB(mostRss)} MiB`;
      const growth = growthOf(heaps);
      if (growth > MAX_GROWTH_BYTES) yield `the heap of ${name} grew by ${toMiB(growth)} MiB`;
    }
  },

  *'every process ends by itself, without an error'({ programs }) {
    for (const program of programs) {
      if (program.stderr !== '') yield `${program.name} printed an error: ${program.stderr.slice(0, 500)}`;
      if (program.wasKilled) continue;
      if (program.exit?.code !== 0) yield `${program.name} ended with ${JSON.stringify(program.exit)}`;
    }
  },

  *'one socket for each role'({ programs, mostSockets }) {
    for (const { name, role } of programs) {
      const most = mostSockets.get(name) ?? 0;
      if (most > sockets[role]) yield `${name} held ${most} sockets at once`;
    }
  },

  *'attempts to connect are bounded'({ programs, network, faults, firstFaultAt, lastFaultAt }, { others }) {
    const failed = [...others.values()]
      .flat()
      .filter((it) => it.e === 'event' && it.name === 'connect-failed');
    const roles = programs.reduce((sum, { role }) => sum + sockets[role], 0);
    const seconds = (lastFaultAt - firstFaultAt) / 1_000;
    // At full speed there would be thousands in a second.
    const limit = roles * (2 + 3 * faults.length + 8 * seconds);
    const attempts = network.proxy.accepted + failed.length;
    if (attempts > limit) yield `${attempts} attempts, ${Math.round(limit)} at most`;
    for (const [name, entries] of others) {
      const most = mostInOneSecond(entries.filter(isAttempt).map(({ t }) => t));
      if (most > MAX_ATTEMPTS_PER_SECOND) yield `${name} made ${most} attempts in one second`;
    }
  },

  *'no password is printed'({ programs, password }) {
    for (const { name, printed } of programs)
      if (formsOf(password).some((form) => printed.includes(form))) yield `${name} printed the password`;
  },

  *'nothing is left behind'({ leftovers, connectionsLeft }) {
    for (const { queue, k } of leftovers.queued) yield `${k} is left in ${queue}`;
    for (const connection of connectionsLeft) yield `a connection is left at the server: ${connection}`;
  },

  'nothing but what was sent is handled': (_run, { strangers }) =>
    strangers === 0 ? [] : [`${strangers} runs of messages that were never sent`],

  'the run itself': ({ troubles }) => troubles,
} as const satisfies Readonly<Record<string, Rule>>;

export type RuleName = keyof typeof rules;

/** Every rule that was broken, with the first examples. */
export function settler(run: RunRecord, history: History): Partial<Record<RuleName, string[]>> {
  const broken: Partial<Record<RuleName, string[]>> = {};
  for (const [name, rule] of Object.entries(rules) as [RuleName, Rule][]) {
    const violations = [...rule(run, history)];
    if (violations.length === 0) continue;
    const more = violations.length > 5 ? [`… ${violations.length} in all`] : [];
    broken[name] = [...violations.slice(0, 5), ...more];
  }
  return broken;
}

/** How much more the median of the last third is than that of the third before. */
export function growthOf(samples: readonly number[]): number {
  const third = Math.floor(samples.length / 3);
  if (third < 3) return 0;
  return median(samples.slice(-third)) - median(samples.slice(third, 2 * third));
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

const isAttempt = (entry: Entry) =>
  entry.e === 'event' && (entry.name === 'connect-failed' || entry.name === 'connected');

/** The most of these times, which ascend, that lie within one second. */
function mostInOneSecond(times: readonly number[]): number {
  let most = 0;
  let first = 0;
  for (const [last, t] of times.entries()) {
    while (t - (times[first] ?? t) >= 1_000) first++;
    most = Math.max(most, last - first + 1);
  }
  return most;
}

/** A secret, and what it looks like in bytes that are printed. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const hex = bytes.toString('hex');
  return [secret, hex, hex.replaceAll(/..(?!$)/g, '$& '), bytes.toString('base64').replace(/.{0,2}=*$/, '')];
}

const toMiB = (bytes: number) => Math.round(bytes / 2 ** 20);
