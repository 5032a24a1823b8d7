import fc from 'fast-check';

/** One thing that a client does. Names are short; each run puts a prefix of its own before them. */
export type Command =
  | {
      readonly do: 'declare queue';
      readonly queue: string;
      readonly args: Readonly<Record<string, unknown>>;
      readonly autoDelete: boolean;
    }
  | { readonly do: 'declare exchange'; readonly exchange: string; readonly type: string }
  | {
      readonly do: 'bind';
      readonly kind: 'queue' | 'exchange';
      readonly name: string;
      readonly source: string;
      readonly key: string;
      readonly args: Readonly<Record<string, unknown>>;
    }
  | {
      readonly do: 'publish';
      readonly exchange: string;
      readonly key: string;
      readonly mandatory: boolean;
      readonly priority: number | undefined;
      readonly expiration: string | undefined;
      readonly headers: Readonly<Record<string, unknown>>;
    }
  | {
      readonly do: 'consume';
      readonly slot: number;
      readonly queue: string;
      readonly prefetch: number;
      readonly noAck: boolean;
      readonly exclusive: boolean;
    }
  | { readonly do: 'cancel'; readonly slot: number }
  | { readonly do: 'ack'; readonly slot: number; readonly at: number; readonly multiple: boolean }
  | {
      readonly do: 'nack';
      readonly slot: number;
      readonly at: number;
      readonly multiple: boolean;
      readonly requeue: boolean;
    }
  | { readonly do: 'reject'; readonly slot: number; readonly at: number; readonly requeue: boolean }
  | { readonly do: 'close channel'; readonly slot: number }
  | { readonly do: 'purge'; readonly queue: string }
  | { readonly do: 'delete queue'; readonly queue: string }
  | { readonly do: 'delete exchange'; readonly exchange: string };

/** Stands for the prefix of the run wherever a name is an argument. */
export const PREFIX = '%';

/** The queue that nothing is bound to. */
const DEAD = 'dead';
/** Those that clients publish to. */
const LIVE = ['q0', 'q1', 'q2'] as const;
export const QUEUES = [...LIVE, DEAD] as const;
export const EXCHANGES = ['x0', 'x1'] as const;
/** Channels that consume. */
export const SLOTS = 3;

const quorum = { 'x-queue-type': 'quorum' };
const toQueue = (queue: string) => ({
  'x-dead-letter-exchange': '',
  'x-dead-letter-routing-key': `${PREFIX}${queue}`,
});

/**
 * What queues are declared with. Where a message can die on arrival its dead letter goes where nothing else does: the
 * server lets a dead letter and its original race.
 */
const shapes: readonly Readonly<Record<string, unknown>>[] = [
  {},
  { 'x-max-length': 2 },
  { 'x-max-length': 2, 'x-overflow': 'reject-publish' },
  { 'x-max-length': 2, 'x-overflow': 'reject-publish-dlx', ...toQueue(DEAD) },
  { 'x-max-length': 2, ...toQueue(DEAD) },
  { 'x-max-priority': 3 },
  { 'x-max-priority': 3, 'x-max-length': 3, ...toQueue(DEAD) },
  { 'x-single-active-consumer': true },
  { 'x-message-ttl': 0, ...toQueue(DEAD) },
  { 'x-dead-letter-exchange': `${PREFIX}x0` },
  { ...toQueue('q0') },
  { ...quorum },
  { ...quorum, 'x-delivery-limit': 1 },
  { ...quorum, 'x-delivery-limit': 2, ...toQueue('q2') },
  { ...quorum, 'x-delivery-limit': 0, ...toQueue('q1') },
  { ...quorum, 'x-max-length': 2 },
  { ...quorum, 'x-max-length': 3, ...toQueue(DEAD) },
  { ...quorum, 'x-single-active-consumer': true },
  { ...quorum, 'x-dead-letter-exchange': `${PREFIX}x0`, 'x-delivery-limit': 20 },
];

const queue = fc.constantFrom(...LIVE);
const anyQueue = fc.constantFrom(...QUEUES);
const exchange = fc.constantFrom(...EXCHANGES);
const slot = fc.nat(SLOTS - 1);
const at = fc.nat(3);
const patterns = fc.constantFrom('a', 'b', 'a.b', 'a.*', '*.b', '#', 'a.#', '');
const noArgs = fc.constant({});
const matches = fc.constantFrom(
  {},
  { h: 1 },
  { 'x-match': 'any', h: 1, g: 'x' },
  { 'x-match': 'all', h: 1, g: 'x' },
);

const declareQueue = (name: fc.Arbitrary<string> = queue): fc.Arbitrary<Command> =>
  fc.record({
    do: fc.constant('declare queue' as const),
    queue: name,
    args: fc.constantFrom(...shapes),
    autoDelete: fc.oneof({ arbitrary: fc.constant(false), weight: 9 }, fc.constant(true)),
  });

const declareExchange = (name: fc.Arbitrary<string> = exchange): fc.Arbitrary<Command> =>
  fc.record({
    do: fc.constant('declare exchange' as const),
    exchange: name,
    type: fc.constantFrom('direct', 'topic', 'fanout', 'headers'),
  });

const bind: fc.Arbitrary<Command> = fc.oneof(
  {
    arbitrary: fc.record({
      do: fc.constant('bind' as const),
      kind: fc.constant('queue' as const),
      name: queue,
      source: exchange,
      key: patterns,
      args: matches,
    }),
    weight: 5,
  },
  fc.record({
    do: fc.constant('bind' as const),
    kind: fc.constant('exchange' as const),
    name: exchange,
    source: exchange,
    key: patterns,
    args: noArgs,
  }),
);

const toOneQueue = fc.record({
  exchange: fc.constant(''),
  key: queue,
  expiration: fc.constantFrom(undefined, undefined, undefined, '0', '600000'),
  headers: fc.constantFrom({}, {}, { h: 1 }),
});
const toMany = fc.record({
  exchange: fc.oneof(exchange, fc.constant('')),
  key: fc.constantFrom('a', 'b', 'a.b', 'b.b', 'a.b.c', ''),
  expiration: fc.constantFrom(undefined, undefined, '600000'),
  headers: fc.constantFrom({}, {}, { h: 1 }, { h: 1, g: 'x' }, { CC: [`${PREFIX}q1`] }, { BCC: ['a.b'] }),
});

const publish: fc.Arbitrary<Command> = fc
  .tuple(
    fc.oneof({ arbitrary: toOneQueue, weight: 3 }, toMany),
    fc.record({
      do: fc.constant('publish' as const),
      mandatory: fc.boolean(),
      priority: fc.constantFrom(undefined, undefined, 0, 1, 3, 5, 9),
    }),
  )
  .map(([where, what]) => ({ ...where, ...what }));

const consume: fc.Arbitrary<Command> = fc.record({
  do: fc.constant('consume' as const),
  slot,
  queue: anyQueue,
  prefetch: fc.constantFrom(0, 1, 1, 2, 3),
  noAck: fc.constantFrom(false, false, false, true),
  exclusive: fc.constantFrom(false, false, false, true),
});

const command: fc.Arbitrary<Command> = fc.oneof(
  { arbitrary: declareQueue(), weight: 2 },
  { arbitrary: declareExchange(), weight: 1 },
  { arbitrary: bind, weight: 3 },
  { arbitrary: publish, weight: 14 },
  { arbitrary: consume, weight: 6 },
  { arbitrary: fc.record({ do: fc.constant('cancel' as const), slot }), weight: 2 },
  {
    arbitrary: fc.record({ do: fc.constant('ack' as const), slot, at, multiple: fc.boolean() }),
    weight: 6,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('nack' as const),
      slot,
      at,
      multiple: fc.boolean(),
      requeue: fc.boolean(),
    }),
    weight: 5,
  },
  {
    arbitrary: fc.record({ do: fc.constant('reject' as const), slot, at, requeue: fc.boolean() }),
    weight: 5,
  },
  { arbitrary: fc.record({ do: fc.constant('close channel' as const), slot }), weight: 2 },
  { arbitrary: fc.record({ do: fc.constant('purge' as const), queue: anyQueue }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('delete queue' as const), queue }), weight: 1 },
  { arbitrary: fc.record({ do: fc.constant('delete exchange' as const), exchange }), weight: 1 },
);

/** A session of a client: it declares something, and then does anything. */
export const sessions: fc.Arbitrary<readonly Command[]> = fc
  .tuple(
    fc.tuple(...LIVE.map((name) => declareQueue(fc.constant(name)))),
    fc.tuple(...EXCHANGES.map((name) => declareExchange(fc.constant(name)))),
    fc.constant({ do: 'declare queue' as const, queue: DEAD, args: {}, autoDelete: false }),
    fc.array(bind, { maxLength: 3 }),
    fc.array(command, { minLength: 1, maxLength: 30, size: 'max' }),
  )
  .map((parts) => withoutCrash(withoutPuzzle(parts.flat())));

/**
 * A channel that has consumed from a quorum queue ends its connection (541, seen on 3.10 and 4.3) when it consumes from a classic queue of
 * the same name: a queue that begins as a quorum queue stays one.
 */
function withoutCrash(commands: readonly Command[]): readonly Command[] {
  const begunAs = new Map<string, Readonly<Record<string, unknown>>>();
  return commands.map((command) => {
    if (command.do !== 'declare queue') return command;
    const first = begunAs.get(command.queue) ?? command.args;
    begunAs.set(command.queue, first);
    const isChange = isQuorum(first) && !isQuorum(command.args);
    return isChange ? { ...command, args: first } : command;
  });
}

const isQuorum = (args: Readonly<Record<string, unknown>>) => args['x-queue-type'] === 'quorum';

/**
 * On 4.0 a message of no time at all leaves its queue, or does not, by how many messages of either priority went before.
 * No client can rely on that.
 */
function withoutPuzzle(commands: readonly Command[]): readonly Command[] {
  const isUrgent = commands.some((command) => command.do === 'publish' && (command.priority ?? 0) > 4);
  if (!isUrgent) return commands;
  return commands.map((command) =>
    command.do === 'publish' && command.expiration === '0' ? { ...command, expiration: undefined } : command,
  );
}
