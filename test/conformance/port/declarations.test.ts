import { expect } from 'vitest';
import { suite } from './suite.js';

const quorum = { 'x-queue-type': 'quorum' };

type Declared = readonly [
  args: Readonly<Record<string, unknown>>,
  flags?: { durable?: boolean; exclusive?: boolean; autoDelete?: boolean },
];

/** What a queue cannot be, and what the server says to it. */
const invalid: readonly (readonly [...Declared, string | undefined, string])[] = [
  [{ ...quorum, 'x-max-priority': 5 }, {}, 'x-max-priority', ' of queue type rabbit_quorum_queue'],
  [{ 'x-delivery-limit': 5 }, {}, 'x-delivery-limit', ' of queue type rabbit_classic_queue'],
  [
    { 'x-dead-letter-strategy': 'at-least-once' },
    {},
    'x-dead-letter-strategy',
    ' of queue type rabbit_classic_queue',
  ],
  [{ ...quorum, 'x-queue-mode': 'lazy' }, {}, 'x-queue-mode', ' of queue type rabbit_quorum_queue'],
  [
    { 'x-queue-type': 'stream', 'x-message-ttl': 5 },
    {},
    'x-message-ttl',
    ' of queue type rabbit_stream_queue',
  ],
  [{ 'x-message-ttl': -1 }, {}, 'x-message-ttl', ': {value_negative,-1}'],
  [{ 'x-message-ttl': 'abc' }, {}, 'x-message-ttl', ': "expected integer, got longstr"'],
  [{ 'x-expires': 0 }, {}, 'x-expires', ': {value_zero,0}'],
  [{ 'x-overflow': 'nix' }, {}, 'x-overflow', ': invalid_overflow'],
  [{ 'x-overflow': 5 }, {}, 'x-overflow', ': {unacceptable_type,byte}'],
  [{ 'x-queue-type': 'nix' }, {}, 'x-queue-type', `: "unsupported queue type 'nix'"`],
  [{ 'x-queue-type': 5 }, {}, 'x-queue-type', ': {unacceptable_type,byte}'],
  [{ 'x-dead-letter-routing-key': 'k' }, {}, 'x-dead-letter-routing-key', ': routing_key_but_no_dlx_defined'],
  [{ ...quorum, 'x-dead-letter-strategy': 'nix' }, {}, 'x-dead-letter-strategy', ': invalid_dlx_strategy'],
  [{ 'x-max-length': -1 }, {}, 'x-max-length', ': {value_negative,-1}'],
  [{ 'x-max-length-bytes': 'a' }, {}, 'x-max-length-bytes', ': "expected integer, got longstr"'],
  [{ 'x-max-priority': 256 }, {}, 'x-max-priority', ': {max_value_exceeded,256}'],
  [{ 'x-single-active-consumer': 'yes' }, {}, 'x-single-active-consumer', ': {unacceptable_type,longstr}'],
  [quorum, { durable: false }, undefined, 'non-durable'],
  [quorum, { exclusive: true }, undefined, 'exclusive-owner'],
  [quorum, { autoDelete: true }, undefined, 'auto-delete'],
];

/** Declared first like this, then like that: what the server says. Undefined: it is the same. */
const differing: readonly (readonly [first: Declared, second: Declared, string | undefined])[] = [
  [
    [{ 'x-message-ttl': 1000 }],
    [{ 'x-message-ttl': 2000 }],
    "x-message-ttl: received '2000' but current is '1000'",
  ],
  [
    [{}],
    [{ 'x-message-ttl': 100 }],
    "x-message-ttl: received the value '100' of type 'byte' but current is none",
  ],
  [
    [{ 'x-message-ttl': 100_000 }],
    [{}],
    "x-message-ttl: received none but current is the value '100000' of type 'signedint'",
  ],
  [
    [{ 'x-expires': 4_000_000_000 }],
    [{}],
    "x-expires: received none but current is the value '4000000000' of type 'long'",
  ],
  [
    [{}],
    [{ 'x-dead-letter-exchange': '' }],
    "x-dead-letter-exchange: received the value '' of type 'longstr' but current is none",
  ],
  [[{}], [{}, { durable: false }], "durable: received 'false' but current is 'true'"],
  [[{}], [{}, { autoDelete: true }], "auto_delete: received 'true' but current is 'false'"],
  [
    [{}],
    [{ 'x-single-active-consumer': true }],
    "x-single-active-consumer: received the value 'true' of type 'bool' but current is none",
  ],
  [
    [{}],
    [{ 'x-message-ttl': 3, 'x-expires': 70_000, 'x-max-length': 3 }],
    "x-expires: received the value '70000' of type 'signedint' but current is none",
  ],
  [
    [{}],
    [{ 'x-max-length': 3 }, { autoDelete: true }],
    "auto_delete: received 'true' but current is 'false'",
  ],
  [[{ 'x-max-priority': 3 }], [{ 'x-max-priority': 4 }], "x-max-priority: received '4' but current is '3'"],
  [
    [{}],
    [{ 'x-overflow': 'drop-head' }],
    "x-overflow: received the value 'drop-head' of type 'longstr' but current is none",
  ],
  [
    [quorum],
    [{ ...quorum, 'x-delivery-limit': 20 }],
    "x-delivery-limit: received the value '20' of type 'byte' but current is none",
  ],
  [
    [{ ...quorum, 'x-delivery-limit': 20 }],
    [{ ...quorum, 'x-delivery-limit': 30 }],
    "x-delivery-limit: received '30' but current is '20'",
  ],
  [[{}], [quorum, { autoDelete: true }], "auto_delete: received 'true' but current is 'false'"],
  [[quorum], [{ 'x-queue-type': 'classic' }], "x-queue-type: received 'classic' but current is 'quorum'"],
  [
    [{}],
    [{ 'x-message-ttl': -1 }],
    "x-message-ttl: received the value '-1' of type 'byte' but current is none",
  ],
  // Each type of queue compares its own arguments, in an order of its own, and no others.
  [
    [{ ...quorum, 'x-dead-letter-exchange': 'a', 'x-expires': 60_000 }],
    [{ 'x-max-priority': 3 }],
    "x-dead-letter-exchange: received none but current is the value 'a' of type 'longstr'",
  ],
  [
    [quorum],
    [{ 'x-max-priority': 3, 'x-single-active-consumer': true }],
    "x-single-active-consumer: received the value 'true' of type 'bool' but current is none",
  ],
  [[{}], [{ 'x-queue-type': 'classic' }], undefined],
  [[{}], [{ 'x-foo': 3 }], undefined],
];

suite('declarations', {
  'refuse what no queue can be, in the words of the server': async (peer) => {
    const link = await peer.link();
    const heard: string[] = [];
    for (const [at, [args, flags = {}]] of invalid.entries()) {
      const probe = await peer.channel(link);
      heard.push(await probe.refusal(probe.queue(`q${at}`, args, flags)));
    }
    const expected = invalid.map(([, , argument, words], at) =>
      argument === undefined
        ? `406 PRECONDITION_FAILED - invalid property '${words}' for queue 'q${at}' in vhost '/'`
        : `406 PRECONDITION_FAILED - invalid arg '${argument}' for queue 'q${at}' in vhost '/'${words}`,
    );
    expect(heard).toEqual(expected);
  },

  'name what differs from the queue that exists': async (peer) => {
    const link = await peer.link();
    const heard: string[] = [];
    for (const [at, [first, second]] of differing.entries()) {
      const probe = await peer.channel(link);
      await probe.queue(`q${at}`, ...first);
      heard.push(await probe.refusal(probe.queue(`q${at}`, ...second)));
    }
    const expected = differing.map(([, , words], at) => {
      const [argument, difference] = words?.split(/: (.*)/s) ?? [];
      return words === undefined
        ? 'done'
        : `406 PRECONDITION_FAILED - inequivalent arg '${argument}' for queue 'q${at}' in vhost '/': ${difference}`;
    });
    expect(heard).toEqual(expected);
  },

  'name the type of a queue that exists as another one': async (peer, { family }) => {
    const probe = await peer.channel();
    await probe.queue('q', quorum);
    const difference =
      family === '3.13'
        ? "received none but current is the value 'quorum' of type 'longstr'"
        : "received 'classic' but current is 'quorum'";
    expect(await probe.refusal(probe.queue('q'))).toBe(
      `406 PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': ${difference}`,
    );
  },

  'of a queue that another link owns are refused, and so is every use of it': async (peer) => {
    const owner = await peer.channel();
    await owner.queue('mine', {}, { durable: false, exclusive: true });
    const words =
      "405 RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could be originally declared on " +
      'another connection or the exclusive property value does not match that of the original declaration.';
    const link = await peer.link();
    for (const use of ['declare', 'check', 'consume', 'purge', 'delete'] as const) {
      const other = await peer.channel(link);
      const { channel } = other;
      const request = {
        declare: () => other.queue('mine', {}, { durable: false, exclusive: true }),
        check: () => channel.checkQueue('mine'),
        consume: () => other.consume('mine'),
        purge: () => channel.purgeQueue('mine'),
        delete: () => channel.deleteQueue('mine'),
      }[use]();
      expect(await other.refusal(request)).toContain(words.slice(0, 200));
    }
  },

  'of an exchange name what differs': async (peer) => {
    const link = await peer.link();
    const heard: string[] = [];
    for (const change of [{ type: 'direct' }, { durable: false }, { autoDelete: true }, { internal: true }]) {
      const probe = await peer.channel(link);
      const first = {
        name: 'x',
        type: 'topic',
        durable: true,
        autoDelete: false,
        internal: false,
        arguments: {},
      };
      await probe.channel.declareExchange(first);
      heard.push(await probe.refusal(probe.channel.declareExchange({ ...first, ...change })));
    }
    const what = (argument: string, received: string, current: string) =>
      `406 PRECONDITION_FAILED - inequivalent arg '${argument}' for exchange 'x' in vhost '/': received '${received}' but current is '${current}'`;
    expect(heard).toEqual([
      what('type', 'direct', 'topic'),
      what('durable', 'false', 'true'),
      what('auto_delete', 'true', 'false'),
      what('internal', 'true', 'false'),
    ]);
  },

  'and bindings are refused where a name is reserved or missing': async (peer) => {
    const link = await peer.link();
    const heard: string[] = [];
    const attempts = [
      (it: Awaited<ReturnType<typeof peer.channel>>) => it.queue('amq.mine'),
      (it) => it.exchange('amq.mine', 'topic'),
      (it) => it.exchange('', 'direct'),
      (it) => it.channel.checkExchange('nix'),
      (it) => it.channel.checkQueue('nix'),
      (it) => it.channel.purgeQueue('nix'),
      (it) => it.consume('nix'),
      (it) => it.bind('nix', 'amq.topic', 'a'),
      (it) => it.bind('nix', 'nix2', 'a'),
      (it) => it.bind('nix', '', 'a'),
      (it) => it.channel.deleteExchange('amq.direct'),
      (it) => it.channel.deleteExchange('nix'),
      (it) => it.channel.deleteQueue('nix'),
    ] satisfies ((it: Awaited<ReturnType<typeof peer.channel>>) => Promise<unknown>)[];
    for (const attempt of attempts) {
      const probe = await peer.channel(link);
      heard.push(await probe.refusal(attempt(probe)));
    }
    expect(heard).toEqual([
      "403 ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
      "403 ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
      '403 ACCESS_REFUSED - operation not permitted on the default exchange',
      "404 NOT_FOUND - no exchange 'nix' in vhost '/'",
      "404 NOT_FOUND - no queue 'nix' in vhost '/'",
      "404 NOT_FOUND - no queue 'nix' in vhost '/'",
      "404 NOT_FOUND - no queue 'nix' in vhost '/'",
      "404 NOT_FOUND - no queue 'nix' in vhost '/'",
      "404 NOT_FOUND - no exchange 'nix2' in vhost '/'",
      '403 ACCESS_REFUSED - operation not permitted on the default exchange',
      "403 ACCESS_REFUSED - deletion of system exchange 'amq.direct' in vhost '/' not allowed",
      'done',
      'done',
    ]);
  },

  'of a binding with more than two hashes are refused by 4.3': async (peer, { family }) => {
    const link = await peer.link();
    const probe = await peer.channel(link);
    await probe.queue('q');
    await probe.exchange('x', 'topic');
    const heard: string[] = [];
    for (const key of ['#.a.#', '##.##.##', '#.a.#.b.#']) {
      const other = await peer.channel(link);
      heard.push(await other.refusal(other.bind('q', 'x', key)));
    }
    const words =
      "406 PRECONDITION_FAILED - Topic binding key '#.a.#.b.#' uses 3 '#' wildcards, at most 2 are allowed";
    expect(heard).toEqual(['done', 'done', family === '4.3' ? words : 'done']);
  },

  'of a binding miss its source first': async (peer) => {
    const probe = await peer.channel();
    const binding = { source: 'from', routingKey: 'a', arguments: {} };
    const bound = probe.channel.bind({ ...binding, destination: { kind: 'exchange', name: 'to' } });
    expect(await probe.refusal(bound)).toBe("404 NOT_FOUND - no exchange 'from' in vhost '/'");
  },

  'of an exchange of no known type are refused': async (peer, { family }) => {
    const probe = await peer.channel();
    const heard = await probe.refusal(probe.exchange('x', 'nix'));
    // 3.x closes the whole connection over it.
    if (family === '3.13') expect(heard).not.toBe('done');
    else expect(heard).toBe("406 PRECONDITION_FAILED - unknown exchange type 'nix'");
  },
});
