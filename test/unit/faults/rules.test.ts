import { describe, expect, it } from 'vitest';
import type { HandlerRun, History, MessageHistory } from '../../faults/harness/history.js';
import type { Entry } from '../../faults/harness/journal.js';
import type { WireDeliveries, WireVerdict } from '../../faults/harness/observer.js';
import { type RuleName, rules, settler } from '../../faults/harness/rules.js';
import type { RunRecord } from '../../faults/harness/run.js';

const MiB = 2 ** 20;

/** What a case changes in a run that kept every rule: a message `m` was sent, handled and acknowledged. */
interface Change {
  readonly message?: Partial<MessageHistory>;
  /** The runs of the message's handler. */
  readonly runs?: readonly Partial<HandlerRun>[];
  readonly verdicts?: readonly Partial<WireVerdict>[];
  readonly violations?: readonly string[];
  readonly deliveries?: WireDeliveries;
  /** What the consumer noted beside its runs. */
  readonly entries?: readonly Partial<Entry>[];
  readonly strangers?: number;
  readonly run?: Partial<Omit<RunRecord, 'programs' | 'network'>>;
  readonly consumer?: object;
  readonly accepted?: number;
}

const aRun: HandlerRun = {
  program: 'consumer-1',
  startedAt: 2_000,
  endedAt: 2_010,
  how: 'done',
  id: 'id-1',
  attempt: 1,
  redelivered: false,
};

function judged(change: Change): Partial<Record<RuleName, string[]>> {
  const runs = (change.runs ?? [{}]).map((run) => ({ ...aRun, ...run }));
  const message: MessageHistory = {
    kind: 'plain',
    program: 'producer-1',
    sentAt: 1_000,
    settled: { at: 1_100, id: 'id-1' },
    runs,
    ...change.message,
  };
  const verdict = { t: 2_020, kind: 'ack', program: 'consumer-1', channel: 1, k: 'm' } as const;
  const observer = {
    verdicts: (change.verdicts ?? [{}]).map((it) => ({ ...verdict, ...it })),
    violations: change.violations ?? [],
    deliveries: new Map([
      ['consumer-1 m', change.deliveries ?? { all: runs.length, unmarked: runs.length }],
      ['consumer-2 m', { all: 9, unmarked: 9 }],
    ]),
  };
  const sound = { exit: { code: 0, signal: null }, wasKilled: false, stderr: '', printed: 'a line of a log' };
  const run = {
    password: 'canary-12345678',
    programs: [
      { name: 'producer-1', role: 'producer', ...sound },
      { name: 'consumer-1', role: 'consumer', ...sound, ...change.consumer },
    ],
    network: { observer, proxy: { accepted: change.accepted ?? 4 } },
    faults: [{ name: 'a reset', startedAt: 3_000, reachableAt: 3_001, recoveredAfterMs: 300 }],
    firstFaultAt: 3_000,
    lastFaultAt: 63_000,
    mostSockets: new Map([['producer-1', 2]]),
    troubles: [],
    leftovers: { queued: [], deadLetters: [] },
    connectionsLeft: [],
    ...change.run,
  };
  const closed = { t: 70_000, e: 'closed', clean: true, ms: 20 };
  const history = {
    messages: new Map([['m', message]]),
    others: new Map([
      ['producer-1', [closed]],
      ['consumer-1', [...(change.entries ?? []), closed]],
    ]),
    strangers: change.strangers ?? 0,
  };
  return settler(run as unknown as RunRecord, history as unknown as History);
}

const again = { startedAt: 4_000, endedAt: 4_010, redelivered: true };
const memory = (...heaps: readonly number[]) =>
  heaps.map(
    (heap, n) => ({ t: 5_000 * n, e: 'memory', heapBytes: heap * MiB, rssBytes: 100 * MiB }) as const,
  );
const event = (name: string, times: number, everyMs: number) =>
  Array.from({ length: times }, (_, n) => ({ t: 5_000 + n * everyMs, e: 'event', name }) as const);

/** What breaks a rule, and no other one. */
const breaches: readonly (readonly [RuleName, string, Change])[] = [
  ['no resolved send is missing', 'was sent and has no trace', { runs: [], verdicts: [] }],
  [
    'no resolved send is missing',
    'has only a run that ended with its process',
    { runs: [{ endedAt: undefined, how: undefined }], verdicts: [] },
  ],
  [
    'what cannot be handled is a dead letter',
    'was given up and is no dead letter',
    { message: { kind: 'dead' } },
  ],
  [
    'what cannot be handled is a dead letter',
    'is invalid and was handled',
    { message: { kind: 'invalid' }, run: { leftovers: { queued: [], deadLetters: ['m'] } } },
  ],
  [
    'nothing is acknowledged before its handler has ended',
    'is acknowledged while its handler runs',
    { verdicts: [{ t: 2_005 }] },
  ],
  [
    'nothing is acknowledged before its handler has ended',
    'is rejected while its handler runs',
    { verdicts: [{ kind: 'reject', t: 2_005 }] },
  ],
  [
    'nothing is acknowledged before its handler has ended',
    'is acknowledged by a program that did not handle it',
    { verdicts: [{ program: 'consumer-2' }] },
  ],
  [
    'nothing is acknowledged before its handler has ended',
    'is acknowledged twice after one run',
    { verdicts: [{}, { t: 2_030 }] },
  ],
  [
    'no unknown delivery tag',
    'was not delivered',
    { violations: ['a verdict on the unknown delivery tag 5'] },
  ],
  ['every duplicate can be recognised', 'comes with two ids', { runs: [{}, { ...again, id: 'id-2' }] }],
  [
    'every duplicate can be recognised',
    'comes with another id than it was sent with',
    { message: { settled: { at: 1_100, id: 'id-9' } } },
  ],
  [
    'every duplicate can be recognised',
    'is handled twice before anything went wrong',
    { runs: [{}, { ...again, startedAt: 2_500, endedAt: 2_510 }] },
  ],
  [
    'no delivery is handled twice, and `redelivered` is never missing',
    'runs twice and came once',
    { runs: [{}, again], deliveries: { all: 1, unmarked: 1 } },
  ],
  [
    'no delivery is handled twice, and `redelivered` is never missing',
    'came again with a mark that its handler did not see',
    { runs: [{}, { ...again, redelivered: false }], deliveries: { all: 2, unmarked: 1 } },
  ],
  ['every send settles in its time', 'never settled', { message: { settled: undefined } }],
  ['every send settles in its time', 'settled late', { message: { settled: { at: 31_000, id: 'id-1' } } }],
  [
    'what was certainly not sent does not arrive',
    'was surely not sent and is handled',
    { message: { settled: { at: 1_100, code: 'TIMEOUT', maybeDelivered: false } } },
  ],
  [
    'what was certainly not sent does not arrive',
    'was surely not sent and is a dead letter',
    {
      message: { settled: { at: 1_100, code: 'TIMEOUT', maybeDelivered: false } },
      runs: [],
      verdicts: [],
      run: { leftovers: { queued: [], deadLetters: ['m'] } },
    },
  ],
  [
    'every other promise settles in its time',
    'question took long',
    { entries: [{ t: 9_000, e: 'asked', ms: 40_000, ok: false }] },
  ],
  [
    'every other promise settles in its time',
    'close took long',
    { entries: [{ t: 9_000, e: 'closed', ms: 40_000, clean: true }] },
  ],
  [
    'every other promise settles in its time',
    'close was not clean',
    { entries: [{ t: 9_000, e: 'closed', ms: 20, clean: false }] },
  ],
  ['every other promise settles in its time', 'program never closed', { consumer: { name: 'consumer-2' } }],
  [
    'everything works again soon after each fault',
    'never works again',
    {
      run: {
        faults: [
          { name: 'every connection is reset', startedAt: 1, reachableAt: 1, recoveredAfterMs: undefined },
        ],
      },
    },
  ],
  [
    'everything works again soon after each fault',
    'takes long to work again',
    {
      run: {
        faults: [
          { name: 'every connection is reset', startedAt: 1, reachableAt: 1, recoveredAfterMs: 6_000 },
        ],
      },
    },
  ],
  ['memory is bounded and does not grow', 'has a large heap', { entries: memory(20, 160, 20) }],
  [
    'memory is bounded and does not grow',
    'takes much of the machine',
    { entries: [{ t: 1, e: 'memory', heapBytes: MiB, rssBytes: 600 * MiB }] },
  ],
  [
    'memory is bounded and does not grow',
    'has a heap that grows',
    { entries: memory(20, 25, 30, 40, 45, 50, 70, 75, 80) },
  ],
  [
    'every process ends by itself, without an error',
    'prints an error',
    { consumer: { stderr: 'a warning' } },
  ],
  [
    'every process ends by itself, without an error',
    'prints an error before it is killed',
    { consumer: { stderr: 'a warning', wasKilled: true } },
  ],
  [
    'every process ends by itself, without an error',
    'crashes',
    { consumer: { exit: { code: 1, signal: null } } },
  ],
  ['every process ends by itself, without an error', 'is still there', { consumer: { exit: undefined } }],
  ['one socket for each role', 'holds three', { run: { mostSockets: new Map([['consumer-1', 3]]) } }],
  ['attempts to connect are bounded', 'dials forever', { accepted: 5_000 }],
  [
    'attempts to connect are bounded',
    'fails to connect all the time',
    { entries: event('connect-failed', 3_000, 20) },
  ],
  [
    'attempts to connect are bounded',
    'has one storm in a long calm',
    { entries: event('connect-failed', 100, 5) },
  ],
  ['no password is printed', 'prints it', { consumer: { printed: 'amqp://canary:canary-12345678@h' } }],
  [
    'no password is printed',
    'prints its bytes',
    { consumer: { printed: '<Buffer 00 63 61 6e 61 72 79 2d 31 32 33 34 35 36 37 38>' } },
  ],
  [
    'nothing is left behind',
    'is left in its queue',
    { run: { leftovers: { queued: [{ queue: 'work', k: 'm' }], deadLetters: [] } } },
  ],
  ['nothing is left behind', 'leaves a connection', { run: { connectionsLeft: ['guest@host'] } }],
  ['nothing but what was sent is handled', 'was never sent', { strangers: 1 }],
  ['the run itself', 'did not go as it should', { run: { troubles: ['a program did not start'] } }],
];

/** What looks like a breach, and is none. */
const allowed: readonly (readonly [string, Change])[] = [
  ['all that it is meant to do', {}],
  [
    'a message that is left as a dead letter',
    { runs: [], verdicts: [], run: { leftovers: { queued: [], deadLetters: ['m'] } } },
  ],
  [
    'a send that failed and may have been delivered',
    { message: { settled: { at: 1_100, code: 'TIMEOUT', maybeDelivered: true } } },
  ],
  [
    'a second run after a fault, of a marked delivery, with a verdict on another channel',
    { runs: [{}, again], verdicts: [{}, { t: 4_020, channel: 2 }], deliveries: { all: 2, unmarked: 1 } },
  ],
  ['a second run of what its sender sent again', { runs: [{}, { ...again, redelivered: false }] }],
  [
    'a success that is acknowledged when it comes again',
    { verdicts: [{ t: 4_020, channel: 2 }], deliveries: { all: 2, unmarked: 1 } },
  ],
  [
    'a process that was killed on purpose',
    { consumer: { wasKilled: true, exit: { code: null, signal: 'SIGKILL' } } },
  ],
  ['a heap that comes and goes', { entries: memory(20, 60, 20, 60, 20, 60, 20, 60, 20) }],
  ['attempts with pauses between them', { entries: event('connect-failed', 300, 100) }],
];

describe('a run', () => {
  it.each(allowed)('keeps every rule with %s', (_what, change) => {
    expect(judged(change)).toEqual({});
  });

  it.each(breaches)('breaks the rule “%s” with what %s', (rule, _what, change) => {
    expect(Object.keys(judged(change))).toEqual([rule]);
  });

  it('can break each rule there is', () => {
    expect(new Set(breaches.map(([rule]) => rule))).toEqual(new Set(Object.keys(rules)));
  });

  it('that breaks a rule often is told of with the first five examples, and how many there are', () => {
    const troubles = Array.from({ length: 9 }, (_, n) => `trouble ${n}`);
    const found = judged({ run: { troubles } })['the run itself'];
    expect(found).toEqual([...troubles.slice(0, 5), '… 9 in all']);
  });
});
