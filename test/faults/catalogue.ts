/** Where a test is: its file, and its title as it is written there. */
export type TestReference = readonly [file: string, title: string];

/** Something that can go wrong. */
export interface Row {
  readonly id: string;
  readonly fault: string;
  readonly promise: string;
  /** Each of them holds a part of the promise. */
  readonly heldBy: readonly TestReference[];
}

const rabbitmq = (file: string, title: string): TestReference => [`test/rabbitmq/${file}.test.ts`, title];
const conformance = (file: string, title: string): TestReference => [
  `test/conformance/${file}.test.ts`,
  title,
];
const faults = (file: string, title: string): TestReference => [`test/faults/${file}.test.ts`, title];

/** What can go wrong, what must happen, and the tests that hold it. */
export const catalogue: Readonly<Record<string, readonly Row[]>> = {
  'Connection and server': [
    {
      id: 'server-killed',
      fault: 'The server is killed and started again',
      promise:
        'No confirmed message is lost, every send settles, and the next one is confirmed within 1 s after the port opens',
      heldBy: [
        rabbitmq(
          'crash',
          'loses no confirmed message, settles every send, and confirms the next one within a second',
        ),
      ],
    },
    {
      id: 'server-restarted',
      fault: 'The server is shut down cleanly and restarted, closes connections (320), or ends them (FIN)',
      promise: 'One `disconnected` event; work resumes',
      heldBy: [
        faults('connection', 'is one outage, and work goes on when it is back'),
        rabbitmq('broker/reconnect', 'tells of one outage when the server closes them all'),
        rabbitmq('broker/reconnect', 'tells of one outage and goes on by itself when they are %s'),
      ],
    },
    {
      id: 'reset',
      fault: 'A reset in any state, including the handshake and the setup',
      promise: 'One recovery, one socket per role, no added delay',
      heldBy: [
        faults(
          'connection',
          'after any number of bytes %s, from the first one on, comes back with one socket for each role',
        ),
        faults('channel', 'is no reason to wait longer, however often it happens'),
        faults('publishing', 'sends as soon as there is a new one, each time'),
      ],
    },
    {
      id: 'black-hole',
      fault: 'Nothing passes any more, in both directions or in one',
      promise: 'Detected after about three heartbeats; the dead sockets are destroyed',
      heldBy: [
        rabbitmq('broker/reconnect', 'notices by its heartbeat that %s, and drops the dead sockets'),
        rabbitmq('broker/exit', 'ends by itself after a broker was closed that the server had lost sight of'),
      ],
    },
    {
      id: 'confirms-lost',
      fault: 'Only the confirms are lost',
      promise: 'The messages are sent again with the same id',
      heldBy: [
        rabbitmq('producer/flow', 'sends again what was published and not confirmed'),
        rabbitmq(
          'producer/flow',
          'settles every send over a lost connection, and sends again with the same id',
        ),
      ],
    },
    {
      id: 'half-dead',
      fault: 'The old connection is alive only for the server',
      promise: 'Its prefetched messages and its exclusive queue are released as soon as the server notices',
      heldBy: [
        faults('connection', 'keeps an exclusive queue locked only until the server has noticed'),
        faults(
          'connection',
          'gets its prefetched messages handled by the new one as soon as the server has noticed',
        ),
      ],
    },
    {
      id: 'bad-network',
      fault: 'A slow, narrow, fragmented or corrupt network',
      promise: 'Everything arrives intact, or the connection is dropped and no message is lost',
      heldBy: [
        faults('connection', '%s passes everything on intact, without a reconnect'),
        faults('connection', 'corrupt %s costs the connection, and no message'),
      ],
    },
    {
      id: 'standstill',
      fault: 'The server hangs (SIGSTOP), or a peer accepts and says nothing',
      promise:
        'Each send and each attempt has its own deadline; a connection that opens too late is destroyed',
      heldBy: [
        faults(
          'connection',
          'lets each send settle at its own limit, and everything go on when it moves again',
        ),
        rabbitmq(
          'broker/start',
          'has a deadline of its own when a peer accepts and says nothing, and leaves no socket behind',
        ),
      ],
    },
    {
      id: 'alarm',
      fault: 'A memory or disk alarm',
      promise: 'Sends wait up to their deadline; consumers and acknowledgements continue',
      heldBy: [
        rabbitmq('broker/alarm', 'sends wait, and consumers and their acknowledgements go on'),
        faults('connection', 'blocks sends and not consumers, until there is space again'),
      ],
    },
    {
      id: 'no-new-connections',
      fault: 'The server accepts no new connections while old ones stay open',
      promise: 'The old ones continue; a lost one is retried until it succeeds',
      heldBy: [faults('connection', 'serves the old ones, and is tried again until it takes new ones')],
    },
    {
      id: 'refused',
      fault: 'Wrong password, unknown virtual host, missing permission, connection limit',
      promise:
        'At the start rejected at once, with distinct codes; on a reconnect retried with fresh credentials',
      heldBy: [
        rabbitmq('broker/start', 'for a wrong password'),
        rabbitmq('broker/start', 'for an unknown virtual host'),
        rabbitmq('broker/start', 'for a virtual host that the user has no right to'),
        rabbitmq('broker/start', 'for a virtual host that takes no more connections'),
        rabbitmq('broker/credentials', 'may answer with a new password after the old one was changed'),
      ],
    },
    {
      id: 'hosts',
      fault: 'Several hosts, one dead, or all of them',
      promise: 'The next one is tried at once; the error names each address',
      heldBy: [
        rabbitmq('broker/start', 'moves on from one that refuses, whichever is tried first'),
        rabbitmq('broker/start', 'names every host and why it failed, after the time that it was given'),
        rabbitmq('broker/reconnect', 'moves to another host when its own does not come back'),
      ],
    },
    {
      id: 'tls',
      fault: 'TLS: unknown authority, wrong name, expired certificate, TLS to a plain port and the reverse',
      promise: 'Refused with a clear code; never downgraded to plain text',
      heldBy: [
        rabbitmq('broker/tls', 'refuses a certificate %s at once'),
        rabbitmq(
          'broker/tls',
          'does not go on in the clear when it is to speak to a server without TLS, nor the other way round',
        ),
        rabbitmq('broker/tls', 'takes no list in which another host would do without it'),
        rabbitmq('broker/start', 'for TLS to a port without it'),
      ],
    },
    {
      id: 'external',
      fault: 'The server identifies its clients by certificates (mutual TLS, EXTERNAL)',
      promise:
        'Works on both connections and after a loss; a missing, expired or unknown certificate is refused at once',
      heldBy: [
        rabbitmq('broker/mutual-tls', 'knows a client by its certificate alone, on both connections'),
        rabbitmq('broker/mutual-tls', 'knows it again after a lost connection'),
        rabbitmq('broker/mutual-tls', 'refuses an unknown certificate'),
        rabbitmq('broker/mutual-tls', 'refuses a client with %s at once'),
        rabbitmq(
          'broker/mutual-tls',
          'is not trusted itself when its authority is unknown, whatever the client shows',
        ),
        rabbitmq('broker/mutual-tls', 'refuses EXTERNAL without TLS'),
      ],
    },
    {
      id: 'secret',
      fault: 'A password or a token expires',
      promise:
        'The next one is sent in time, on the open connections; a refused one costs the connection, not the broker',
      heldBy: [
        rabbitmq(
          'broker/credentials',
          'is followed by the next one in time, on the connections that are open',
        ),
        rabbitmq('broker/expiring-token', 'is followed by the next one on both connections, which live on'),
        rabbitmq('broker/expiring-token', 'whose successor is refused costs the connection, not the broker'),
      ],
    },
    {
      id: 'close-anywhere',
      fault: 'Closed or aborted at any answer of the server: while connecting, waiting, blocked or cut off',
      promise:
        'Everything settles in time, with the signal’s reason where there is one; no later connect; the process ends',
      heldBy: [
        rabbitmq('broker/close-unreachable', 'while it is connecting to a peer that says nothing'),
        rabbitmq(
          'broker/close-unreachable',
          'while the server is away and sends wait for it, at the deadline',
        ),
        rabbitmq(
          'broker/close-unreachable',
          'while nothing passes any more, at the deadline, dropping its sockets',
        ),
        rabbitmq('broker/close-unreachable', 'in the middle of a reconnect'),
        rabbitmq('broker/alarm', 'close ends in time and settles what waits'),
        rabbitmq(
          'misuse/at-every-answer',
          'a broker is closed, it settles in time, with everything that was begun',
        ),
        rabbitmq('misuse/at-every-answer', 'a signal aborts, all that has it rejects with its reason'),
        rabbitmq('misuse/again-and-again', 'leaves nothing behind wherever its start is aborted'),
      ],
    },
  ],
  'Cluster of three nodes': [
    {
      id: 'leader-lost',
      fault: 'The leader of a quorum queue is stopped, killed, or hangs',
      promise: 'Another node takes over: work continues, nothing confirmed is lost',
      heldBy: [faults('cluster', '%s is replaced: everything goes on, and nothing confirmed is lost')],
    },
    {
      id: 'majority-lost',
      fault: 'Two of three nodes are gone',
      promise: 'Neither a confirm nor a refusal comes: each send settles at its own deadline',
      heldBy: [
        faults(
          'cluster',
          'with two of three nodes gone lets each send settle at its own limit, and takes them when it is whole again',
        ),
      ],
    },
    {
      id: 'home-node',
      fault: 'The home node of a classic queue is down',
      promise: 'The queue does not count as missing; work resumes when the node is back',
      heldBy: [
        faults('cluster', 'whose node with a classic queue is gone does not count that queue as missing'),
      ],
    },
    {
      id: 'partition',
      fault: 'One node is partitioned from the others',
      promise: 'Work continues on the majority’s side, nothing confirmed is lost',
      heldBy: [faults('cluster', 'that is cut in two goes on where the majority is')],
    },
    {
      id: 'rolling-restart',
      fault: 'Every node is restarted in turn',
      promise: 'Sends and consumers move to another node, nothing fails',
      heldBy: [faults('cluster', 'that is restarted node by node never stops, and loses nothing')],
    },
  ],
  'Channel and topology': [
    {
      id: 'mismatch',
      fault: 'The queue exists with other arguments (406)',
      promise: 'A `TopologyError` with both values, and no blind retries',
      heldBy: [
        rabbitmq('topology/refused', 'of another kind or durability is refused by its property'),
        rabbitmq('topology/refused', 'is asked for once by each that is refused, and not again by itself'),
      ],
    },
    {
      id: 'verdicts',
      fault: 'Two verdicts on one message; a verdict on a delivery of a lost channel',
      promise: 'The first verdict counts; a stale one is never sent on the new channel',
      heldBy: [
        rabbitmq('consumer/verdicts', 'counts once: after %s every other one returns false and does nothing'),
        rabbitmq('consumer/connection-lost', 'lets no verdict on an old delivery reach the new channel'),
        rabbitmq('consumer/queue-lost', 'opens another one: its message runs again there'),
      ],
    },
    {
      id: 'queue-deleted',
      fault: 'The queue is deleted under a consumer',
      promise: 'Declared again, consuming within 2 s',
      heldBy: [rabbitmq('consumer/queue-lost', 'declares it again and consumes within two seconds')],
    },
    {
      id: 'queue-crash',
      fault: 'The queue’s process on the server crashes',
      promise: 'Nothing confirmed is lost',
      heldBy: [faults('channel', 'loses nothing that was confirmed (%s)')],
    },
    {
      id: 'consumer-timeout',
      fault: 'A handler takes longer than the server waits (406; `basic.cancel` from 4.3)',
      promise: 'Its signal aborts, its message is handled again, the consumer continues',
      heldBy: [
        rabbitmq(
          'consumer/queue-lost',
          'has its signal aborted and its message run again, and the consumer lives on',
        ),
      ],
    },
    {
      id: 'rights',
      fault: 'A permission is refused or revoked',
      promise: 'That producer or consumer fails with the reason',
      heldBy: [
        rabbitmq(
          'producer/refused-by-server',
          'fails the sends with that reason, and they work again when it is given back',
        ),
        rabbitmq('consumer/lifecycle', 'for want of the right to read says so'),
      ],
    },
    {
      id: 'missing-exchange',
      fault: 'The exchange is missing (404)',
      promise: 'Only the sends to it fail',
      heldBy: [
        rabbitmq('producer/refused-by-server', 'fails the sends to it, and not those of other producers'),
      ],
    },
    {
      id: 'lost-in-set-up',
      fault: 'The connection is lost while a consumer is recovering',
      promise: 'The consumer stays open and retries at once',
      heldBy: [faults('channel', 'is no reason to wait longer, however often it happens')],
    },
  ],
  Publishing: [
    {
      id: 'unroutable',
      fault: 'No queue receives the message',
      promise: '`UnroutableError`',
      heldBy: [
        rabbitmq('producer/refused-by-server', 'is reported when the queue is not the contract’s to declare'),
        rabbitmq(
          'producer/refused-by-server',
          'is told apart from those beside it, also from one with the same id',
        ),
      ],
    },
    {
      id: 'full-queue',
      fault: 'The queue is full (`reject-publish`)',
      promise: '`RejectedError`',
      heldBy: [
        rabbitmq(
          'producer/refused-by-server',
          'of type %s rejects what it cannot take, and takes it when there is room',
        ),
      ],
    },
    {
      id: 'full-by-policy',
      fault: 'A queue is full because an administrator’s policy limits it',
      promise:
        '`RejectedError` at once, and messages for other queues do not wait; only a queue without a leader is waited for',
      heldBy: [
        rabbitmq(
          'producer/full-by-policy',
          'a %s queue that a policy limits refuses at once, also when it was full before, and holds up no other',
        ),
        ['test/unit/producer/publisher/refusal-pause.test.ts', 'holds up the messages for this queue alone'],
      ],
    },
    {
      id: 'full-with-delays',
      fault: 'A queue is full, by its contract or by a policy, when its delayed messages are due',
      promise:
        'It delays only its own messages; they continue as soon as it has room, also after a restart of the program',
      heldBy: [
        conformance('delays', 'gets its delayed messages as soon as it has room'),
        rabbitmq(
          'topology/delays',
          'gets its delayed messages as soon as it has room, in the program that sends them',
        ),
      ],
    },
    {
      id: 'out-of-attempts-elsewhere',
      fault: 'A message is out of attempts, and its process dies before the dead letter has a place',
      promise: 'No handler of any process gets it again; it goes to the dead letters',
      heldBy: [
        conformance('adopted-queues', 'is not handled by the next one either'),
        conformance('adopted-queues', 'is not handled again either when its connection is lost meanwhile'),
      ],
    },
    {
      id: 'mismatch-of-many',
      fault: 'A queue or an exchange differs from its contract in several options',
      promise:
        'The `TopologyError` names each with what to write in the contract, and says what deleting it would lose',
      heldBy: [
        conformance('queues', 'is refused with all that differs, and with what to write in the contract'),
      ],
    },
    {
      id: 'exchange-vanished',
      fault: 'An exchange is deleted while its producers and consumers run',
      promise:
        'The next send declares it again, and binds this broker’s consumers to it before it publishes; the event is `topology-restored`',
      heldBy: [['test/conformance/subscriptions.test.ts', 'are bound again when the exchange had vanished']],
    },
    {
      id: 'many-producers',
      fault: 'There are more producers than the connection has channels',
      promise: 'Producers of one contract share a channel, and idle ones pass theirs to others',
      heldBy: [
        [
          'test/conformance/producing.test.ts',
          'of each request is a light handle: more of them than a connection has channels',
        ],
        ['test/conformance/producing.test.ts', 'of many queues need no more channels than there are'],
      ],
    },
    {
      id: 'far-away',
      fault: 'The server is 100 ms away',
      promise:
        '50 bound consumers are set up, and the first sends of 50 producers confirmed, within 2 s, at the start and after a reconnect; so are 50 queues declared, and the first delayed messages for 20 queues sent',
      heldBy: [
        rabbitmq(
          'misuse/far-away',
          'fifty bound consumers are set up within 2 s over a round trip of 100 ms, at the start and after a reconnect',
        ),
        rabbitmq(
          'misuse/far-away',
          'the first sends of fifty producers are confirmed within 2 s over a round trip of 100 ms, at the start and after a reconnect',
        ),
        rabbitmq('misuse/far-away', 'fifty queues are declared within 2 s over a round trip of 100 ms'),
        rabbitmq(
          'misuse/far-away',
          'the first delayed messages for twenty queues are confirmed within 2 s over a round trip of 100 ms',
        ),
      ],
    },
    {
      id: 'slow-copies',
      fault: 'The delay of one queue is declared slowly, or a copy for it is not confirmed',
      promise: 'Retries and dead letters of other queues do not wait',
      heldBy: [
        [
          'test/unit/producer/publisher/publisher-delay.test.ts',
          'wait for the declaration of their own target only, whatever else is sent to it',
        ],
        [
          'test/unit/producer/publisher/publisher-return.test.ts',
          'wait for one another, and no other message with them, where the messages go to many queues',
        ],
      ],
    },
    {
      id: 'closed-with-copy',
      fault: 'The broker is closed while the copy of a failed message waits for its confirm',
      promise: '`close` ends at its deadline and says so; the message is delivered again',
      heldBy: [
        rabbitmq(
          'broker/close-unreachable',
          'while the copy of a failed message waits for its confirm, at the deadline, and without losing the message',
        ),
      ],
    },
    {
      id: 'stalled',
      fault: 'The socket is stalled, or the window full',
      promise: 'Bounded memory (amqplib alone: +897 MB for 100 000 sends of 4 kB)',
      heldBy: [
        faults('publishing', 'holds 100 000 sends of 4 kB back in bounded memory'),
        rabbitmq('producer/limits', 'publishes no more than maxInFlight ahead of their confirms'),
      ],
    },
    {
      id: 'away',
      fault: 'The server is unreachable, and there are 200 000 sends',
      promise: 'A bounded number waits, the others are refused at once',
      heldBy: [
        rabbitmq(
          'producer/limits',
          '10 000 of 200 000 sends wait and arrive later, and the rest is refused at once',
        ),
      ],
    },
    {
      id: 'refused-locally',
      fault: 'A body that is too large, headers larger than a frame',
      promise: 'Refused with the reason, before anything is sent',
      heldBy: [
        rabbitmq('producer/refused-locally', 'says how large the body is, and how large it may be'),
        rabbitmq('producer/refused-locally', 'says that the headers do not fit a frame'),
      ],
    },
    {
      id: 'bad-property',
      fault:
        'Values that would cost the channel or the connection: `Infinity` in a header, an id of 300 characters, a forged `userId`',
      promise: 'Refused by name before anything is sent; other sends and the connection continue',
      heldBy: [
        rabbitmq(
          'producer/refused-beside-others',
          'for %s is named, and costs neither them nor the connection anything',
        ),
        rabbitmq('producer/refused-beside-others', 'is a request with %s'),
        rabbitmq('producer/refused-locally', 'names the wrong option: %j'),
        rabbitmq(
          'fuzz/sends',
          'is refused here or arrives as it was, and costs no connection and no other send anything',
        ),
      ],
    },
    {
      id: 'close-after-send',
      fault: 'Closed right after a send',
      promise: 'Every pending send settles first',
      heldBy: [rabbitmq('broker/close', 'settles every pending send first')],
    },
  ],
  Consuming: [
    {
      id: 'handler-fails',
      fault: 'A handler throws, rejects, or never ends',
      promise: 'Retried by the policy, then dead-lettered with the reason; never without a delay',
      heldBy: [
        rabbitmq('consumer/failures', 'runs again until it succeeds, and is told which attempt it is'),
        rabbitmq(
          'consumer/failures',
          'waits before the next attempt, longer each time, and lets other messages pass',
        ),
        rabbitmq(
          'consumer/options',
          'aborts a handler that takes longer, frees its slot, and its message goes the way of a failure',
        ),
      ],
    },
    {
      id: 'copy-fails',
      fault: 'A message has failed permanently, and its dead letter cannot be published',
      promise: 'It stays in its queue and is retried after a pause: nothing spins',
      heldBy: [
        rabbitmq(
          'broker/alarm',
          'a message that failed for good stays where it is until its dead letter can be published',
        ),
      ],
    },
    {
      id: 'blocked-loop',
      fault: 'A handler blocks the event loop past the heartbeat',
      promise: 'The message is not lost, and no unknown tag is acknowledged',
      heldBy: [
        faults('consuming', 'loses its connection and not its message, and nothing unknown is acknowledged'),
      ],
    },
    {
      id: 'process-killed',
      fault: 'The process is killed in a handler',
      promise: 'Another worker receives the message at once, marked as redelivered',
      heldBy: [faults('consuming', 'leaves its message to another one at once, marked as redelivered')],
    },
    {
      id: 'sigterm',
      fault: 'The process is asked to end (SIGTERM) under load',
      promise: 'Running handlers finish, the other messages are requeued, the process exits by itself',
      heldBy: [faults('consuming', 'ends its handlers, gives the rest back, and exits by itself')],
    },
    {
      id: 'poison',
      fault: 'A message kills its worker each time',
      promise: 'A dead letter after the delivery limit',
      heldBy: [faults('consuming', 'is a dead letter when its queue has had enough of it')],
    },
    {
      id: 'undecodable',
      fault: 'A message from a broken peer: unreadable headers, or an unreadable frame',
      promise:
        'Unreadable headers: a dead letter, and no connection lost; an unreadable frame: no reconnect storm, the pauses grow',
      heldBy: [
        faults('consuming', 'is a dead letter when its headers cannot be read, and costs no connection'),
        faults(
          'consuming',
          'costs a connection each time when its frame cannot be read, at a pace that slows down',
        ),
      ],
    },
    {
      id: 'invalid',
      fault:
        'An invalid body: not JSON, not UTF-8, of a wrong type or encoding, too large, too deep, with `__proto__`, or refused by the schema',
      promise: 'A dead letter with at most 20 issues; the handler does not see it',
      heldBy: [
        rabbitmq(
          'consumer/invalid',
          'because it is %s is dead-lettered as it is, and its handler does not see it',
        ),
        rabbitmq('consumer/invalid', 'names every place that does not fit, twenty at most'),
        rabbitmq('consumer/invalid', 'is found by a schema that takes its time, or throws'),
        rabbitmq('consumer/invalid', 'breaks nothing when it is nested deeper than a schema can follow'),
        rabbitmq(
          'consumer/invalid',
          'is text that is no UTF-8 for the codec text; nothing for the codec bytes',
        ),
        rabbitmq('consumer/other-clients', 'may begin with a byte order mark'),
      ],
    },
    {
      id: 'schema-throws',
      fault: 'A schema that throws or rejects, such as a refinement of zod; one that never answers',
      promise:
        'The message is invalid, the schema is called once, and nothing else in the process is affected; a schema has a time limit',
      heldBy: [
        rabbitmq(
          'consumer/invalid',
          'is one for which a refinement of zod %s: it is tried once, and the next one is handled',
        ),
        rabbitmq('consumer/invalid', 'is found by a schema that takes its time, or throws'),
        rabbitmq(
          'consumer/hanging-schema',
          'gives up a message whose schema does not answer within the time of a handler',
        ),
      ],
    },
    {
      id: 'large-integers',
      fault: 'An integer beyond 2^53 in a body',
      promise:
        'It loses digits, as documented; the bytes keep them in every copy, a schema can refuse it, and a sent number arrives unchanged or is refused',
      heldBy: [
        rabbitmq(
          'consumer/large-numbers',
          'loses digits, as documented, and the bytes of the message keep them, in every copy',
        ),
        rabbitmq(
          'consumer/large-numbers',
          'is refused by a schema that asks for a safe one, and its dead letter has all digits',
        ),
        rabbitmq('consumer/large-numbers', 'arrives as it was, however large or small'),
        rabbitmq('consumer/large-numbers', 'is refused before it is sent where JSON would lose it: %s'),
      ],
    },
    {
      id: 'foreign',
      fault:
        'Anything else that another client may write: property types, nested tables, no content type, invalid text',
      promise: 'The message is handled or dead-lettered, and the consumer continues',
      heldBy: [
        rabbitmq('fuzz/foreign-messages', 'ends handled or dead-lettered, and the consumer goes on'),
        rabbitmq('fuzz/foreign-messages', 'is dead-lettered also when its texts are not UTF-8'),
        rabbitmq('consumer/other-clients', 'keeps its headers of every type'),
        rabbitmq(
          'consumer/other-clients',
          'whose headers cannot be copied is dead-lettered without them, and says so',
        ),
      ],
    },
    {
      id: 'foreign-headers',
      fault: 'Headers named `__proto__`, `CC`, `BCC`, `x-…` from outside',
      promise: 'They reach no prototype, and do not route a republished message',
      heldBy: [
        rabbitmq('consumer/other-clients', 'cannot reach a prototype with a header'),
        rabbitmq(
          'consumer/other-clients',
          'is not routed again by the CC headers and server headers of its dead letter',
        ),
      ],
    },
    {
      id: 'passwords',
      fault: 'A password, a token or a key, in a URL, an error, a log line, an event, an inspected object',
      promise: 'It is never printed',
      heldBy: [
        rabbitmq(
          'broker/secrets',
          'is in no event, log line, state, error or inspected object of a broker at work',
        ),
        rabbitmq('broker/secrets', 'is not in the error of a start: one %s'),
        rabbitmq('broker/secrets', 'is not in the error of a credentials function'),
        rabbitmq('broker/passwords', 'is not seen when the server refuses it, by either way in'),
        rabbitmq('broker/passwords', 'is not seen while a peer says nothing, nor when it says nonsense'),
        rabbitmq('broker/passwords', 'is not seen when TLS is refused, nor is the key of the client'),
        rabbitmq('broker/passwords', 'is not seen when a key cannot be read'),
        rabbitmq('broker/passwords', 'is not seen in options that are wrong'),
        rabbitmq('broker/passwords', 'is not seen in a URL that is wrong: %#'),
        rabbitmq('broker/passwords', 'is not seen when work goes wrong on a connection that it has opened'),
        rabbitmq('broker/expiring-token', 'is refused at the start when its time is over, and named nowhere'),
      ],
    },
  ],
  'What a program can do wrong': [
    {
      id: 'user-closes',
      fault: 'It closes everything twice, in any order, from inside a handler or a listener',
      promise: 'Every call returns the same promise; it settles, at its deadline at the latest',
      heldBy: [
        rabbitmq('broker/close', 'is clean, gives the same promise each time, and is not an outage'),
        rabbitmq('broker/close', 'closes its consumers and producers, and nothing can be begun afterwards'),
        rabbitmq(
          'misuse/handlers-and-listeners',
          'may close it from inside of a handler and of an event, without waiting for themselves forever',
        ),
        rabbitmq(
          'misuse/handlers-and-listeners',
          'may wait for the close in the handler that the close waits for: the deadline ends both',
        ),
      ],
    },
    {
      id: 'user-listeners',
      fault: 'Its listeners throw or reject',
      promise: 'Messages, events and reconnects continue',
      heldBy: [
        rabbitmq(
          'misuse/handlers-and-listeners',
          'stop nothing: neither messages, nor events, nor the reconnect',
        ),
      ],
    },
    {
      id: 'user-verdicts',
      fault: 'It settles a message twice, late, or after the close',
      promise: 'One verdict counts; the others return false and do nothing',
      heldBy: [
        rabbitmq(
          'misuse/handlers-and-listeners',
          'count once, and not at all when they come after the end of everything',
        ),
        rabbitmq('consumer/verdicts', 'given after the handler has ended returns false'),
      ],
    },
    {
      id: 'user-blocks',
      fault: 'It blocks the event loop past the heartbeat',
      promise: 'It costs the connection, but no message',
      heldBy: [rabbitmq('misuse/handlers-and-listeners', 'costs the connection, and no message')],
    },
    {
      id: 'user-twins',
      fault: 'It creates two brokers with one name on one queue',
      promise: 'Neither affects the other',
      heldBy: [
        rabbitmq(
          'misuse/again-and-again',
          'does not disturb another one that has its name, its queue and its process',
        ),
      ],
    },
    {
      id: 'user-many',
      fault: 'It creates thousands of consumers, more than a connection has channels',
      promise: 'They share the messages; those beyond the limit report why they cannot start',
      heldBy: [
        rabbitmq('misuse/many-consumers', 'all start, share the messages, and go in one close'),
        rabbitmq(
          'misuse/many-consumers',
          'more than the connection has channels: those beyond say so, the others go on',
        ),
      ],
    },
    {
      id: 'user-loops',
      fault: 'It connects and closes again and again, with one signal for everything',
      promise: 'Handles, listeners, channels and connections return to their numbers at the start',
      heldBy: [
        rabbitmq('misuse/again-and-again', 'leaves no handle, channel or connection behind'),
        rabbitmq(
          'misuse/opened-and-closed',
          'producers, consumers, loops and responders that come and go leave no channel and no listener',
        ),
      ],
    },
  ],
  'Everything at once': [
    {
      id: 'soak',
      fault: 'A random fault every two seconds, under load, in processes of their own',
      promise: 'Every rule below is kept',
      heldBy: [faults('soak', 'a minute of random faults breaks no promise')],
    },
    {
      id: 'harness',
      fault: 'Clients that are broken on purpose',
      promise: 'The rules flag every broken client and pass a correct one',
      heldBy: [
        faults('broken', 'has nothing against a client that keeps its promises'),
        faults(
          'broken',
          'finds out a client that acknowledges before its handler has ended, and loses messages',
        ),
        faults('broken', 'finds out a client that acknowledges an old delivery on its new channel'),
        faults('broken', 'finds out a client that takes what is written for sent'),
        faults('broken', 'finds out a client that leaves its dead sockets open'),
      ],
    },
  ],
};
