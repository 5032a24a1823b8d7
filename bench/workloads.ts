/** What is measured, and with whom. */

export type ClientName =
  | 'leveret'
  | 'leveret-observed'
  | 'amqplib'
  | 'amqplib-by-hand'
  | 'rabbitmq-client'
  | 'amqp-connection-manager'
  | 'cloudamqp'
  | 'rascal'
  | 'bullmq'
  | 'bound';

/** Packages, as the tables name them. */
export const titles: Readonly<Record<ClientName, string>> = {
  leveret: 'Leveret',
  'leveret-observed': 'Leveret, with subscribers',
  amqplib: 'amqplib',
  'amqplib-by-hand': 'amqplib, with the same promises',
  'rabbitmq-client': 'rabbitmq-client',
  'amqp-connection-manager': 'amqp-connection-manager',
  cloudamqp: '@cloudamqp/amqp-client',
  rascal: 'rascal',
  bullmq: 'BullMQ (Redis)',
  bound: 'bound: ready frames',
};

export interface Workload {
  /** By which it is chosen, and found in the results. */
  readonly name: string;
  readonly title: string;
  /** The function of measure.mjs. */
  readonly program:
    | 'publish'
    | 'sendAll'
    | 'consume'
    | 'refilled'
    | 'shared'
    | 'loop'
    | 'latency'
    | 'request'
    | 'start';
  readonly type: 'classic' | 'quorum';
  readonly clients: readonly ClientName[];
  /** How many messages are measured, as a share of what was asked for. */
  readonly share: number;
  readonly warmUp: number;
  /** The most unconfirmed sends. */
  readonly window?: number;
  /** Undefined: what the client has by default, and 256 where that is no limit at all. */
  readonly prefetch?: number;
  readonly bodyBytes?: number;
  /** How many processes share the work. */
  readonly processes?: number;
  /** The most bytes that a connection passes on in a second, each way. */
  readonly bytesPerSecond?: number;
}

const peers: readonly ClientName[] = [
  'amqplib',
  'rabbitmq-client',
  'amqp-connection-manager',
  'cloudamqp',
  'rascal',
];
const all: readonly ClientName[] = ['leveret', 'amqplib-by-hand', ...peers];

const throughput = (type: 'classic' | 'quorum'): Workload[] => [
  {
    name: `publish-${type}`,
    title: `Confirmed publish, 1 000 in flight, ${type} queue`,
    program: 'publish',
    type,
    clients: type === 'classic' ? [...all, 'bullmq', 'bound'] : all,
    share: 1,
    warmUp: 20_000,
    window: 1_000,
  },
  {
    name: `consume-${type}`,
    title: `Consume, validate, acknowledge: default options, ${type} queue`,
    program: 'consume',
    type,
    clients: type === 'classic' ? ['leveret', ...peers, 'bullmq', 'bound'] : ['leveret', ...peers],
    share: 1,
    warmUp: 20_000,
  },
  {
    name: `consume-256-${type}`,
    title: `The same with a prefetch of 256, ${type} queue`,
    program: 'consume',
    type,
    clients: ['leveret', 'amqplib', 'cloudamqp'],
    share: 1,
    warmUp: 20_000,
    prefetch: 256,
  },
  {
    name: `loop-${type}`,
    title: `for await: default options, ${type} queue`,
    program: 'loop',
    type,
    clients: ['leveret', 'cloudamqp'],
    share: 1,
    warmUp: 20_000,
  },
];

const bodies = (name: string, bodyBytes: number, share: number): Workload => ({
  name: `publish-${name}`,
  title: `Confirmed publish of bodies of ${name}, classic queue`,
  program: 'publish',
  type: 'classic',
  clients: ['leveret', 'amqplib', 'cloudamqp'],
  share,
  warmUp: Math.min(20_000, 100_000 * share),
  window: 500,
  bodyBytes,
});

/** What a message costs must not depend on how many there are. */
const growth = (share: number): Workload[] =>
  (['publish', 'consume'] as const).map((program) => ({
    name: `growth-${program}-${share}`,
    title: `${program === 'publish' ? 'Confirmed publish' : 'Consume'}, ${share} times as many messages, classic queue`,
    program,
    type: 'classic',
    clients: ['leveret'],
    share,
    warmUp: 20_000,
    window: 1_000,
  }));

const shared = (processes: number): Workload => ({
  name: `workers-${processes}`,
  title: `Consume in ${processes} ${processes === 1 ? 'process' : 'processes'} at once, default options, classic queue`,
  program: 'shared',
  type: 'classic',
  clients: ['leveret', 'amqplib', 'cloudamqp'],
  share: 2,
  warmUp: 0,
  processes,
});

export const workloads: readonly Workload[] = [
  ...throughput('classic'),
  ...throughput('quorum'),
  {
    name: 'send-all',
    title: 'sendAll beside send, classic queue',
    program: 'sendAll',
    type: 'classic',
    clients: ['leveret'],
    share: 1,
    warmUp: 20_000,
  },
  {
    name: 'refilled',
    title: 'Consume, validate, acknowledge: default options, a classic queue that is filled meanwhile',
    program: 'refilled',
    type: 'classic',
    clients: ['leveret', 'amqplib', 'cloudamqp'],
    share: 1,
    warmUp: 20_000,
  },
  bodies('1 KiB', 1_024, 1),
  bodies('16 KiB', 16 * 1_024, 0.2),
  bodies('128 KiB', 128 * 1_024, 0.02),
  {
    name: 'slow-server',
    title: 'Confirmed publish of bodies of 16 KiB, 1 000 in flight, to a server that takes 8 MB a second',
    program: 'publish',
    type: 'classic',
    clients: ['leveret', 'amqplib', 'cloudamqp'],
    share: 0.02,
    warmUp: 500,
    window: 1_000,
    bodyBytes: 16 * 1_024,
    bytesPerSecond: 8_000_000,
  },
  ...[1, 2, 4].map(shared),
  ...[0.1, 1, 10].flatMap(growth),
  {
    name: 'observed-publish',
    title: 'Confirmed publish, with and without subscribers of the diagnostics channels',
    program: 'publish',
    type: 'classic',
    clients: ['leveret', 'leveret-observed'],
    share: 1,
    warmUp: 20_000,
    window: 1_000,
  },
  {
    name: 'observed-consume',
    title: 'Consume, with and without subscribers of the diagnostics channels',
    program: 'consume',
    type: 'classic',
    clients: ['leveret', 'leveret-observed'],
    share: 1,
    warmUp: 20_000,
  },
  {
    name: 'latency',
    title: 'Send to handler, one at a time',
    program: 'latency',
    type: 'classic',
    clients: ['leveret', 'amqplib', 'rabbitmq-client', 'cloudamqp'],
    share: 0.04,
    warmUp: 300,
  },
  {
    name: 'request',
    title: 'Request to answer, one at a time',
    program: 'request',
    type: 'classic',
    clients: ['leveret', 'amqplib', 'rabbitmq-client'],
    share: 0.04,
    warmUp: 300,
  },
  {
    name: 'start',
    title: 'First confirmed send after the start of the process',
    program: 'start',
    type: 'classic',
    clients: all,
    share: 0,
    warmUp: 0,
  },
];
