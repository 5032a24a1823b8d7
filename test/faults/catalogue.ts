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
const faults = (file: string, title: string): TestReference => [`test/faults/${file}.test.ts`, title];

/** What can go wrong, what must happen, and the tests that hold it. */
export const catalogue: Readonly<Record<string, readonly Row[]>> = {
  'Connection and server': [
    {
      id: 'server-killed',
      fault: 'The server is killed and started again',
      promise:
        'No confirmed message is lost, every send settles, the next one is confirmed within 1 s of the port’s opening',
      heldBy: [
        rabbitmq(
          'crash',
          'loses no confirmed message, settles every send, and confirms the next one within a second',
        ),
      ],
    },
    {
      id: 'server-restarted',
      fault: 'The server is restarted in order, closes connections (320), or ends them (FIN)',
      promise: 'One outage is told of, and work goes on',
      heldBy: [
        faults('connection', 'is one outage, and work goes on when it is back'),
        rabbitmq('broker/reconnect', 'tells of one outage when the server closes them all'),
        rabbitmq('broker/reconnect', 'tells of one outage and goes on by itself when they are %s'),
      ],
    },
    {
      id: 'reset',
      fault: 'A reset in any state, the handshake and the set-up included',
      promise: 'One recovery, one socket for each role, no added delay',
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
      fault: 'Nothing passes any more, both ways or one way',
      promise: 'Found after about three heartbeats; the dead sockets are destroyed',
      heldBy: [
        rabbitmq('broker/reconnect', 'notices by its heartbeat that %s, and drops the dead sockets'),
        rabbitmq('broker/exit', 'ends by itself after a broker was closed that the server had lost sight of'),
      ],
    },
    {
      id: 'confirms-lost',
      fault: 'Only the confirms are lost',
      promise: 'Sent again with the same message id',
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
      fault: 'The old connection is alive for the server only',
      promise: 'Its prefetched messages and its exclusive queue are free as soon as the server has noticed',
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
      fault: 'A slow, thin, sliced or corrupt network',
      promise: 'Everything arrives intact, or the connection is given up and no message lost',
      heldBy: [
        faults('connection', '%s passes everything on intact, without a reconnect'),
        faults('connection', 'corrupt %s costs the connection, and no message'),
      ],
    },
    {
      id: 'standstill',
      fault: 'The server stands still (SIGSTOP), or a peer accepts and says nothing',
      promise: 'Own deadlines for each send and each attempt; a late success is destroyed',
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
      promise: 'Sends wait to their limit; consumers and acknowledgements go on',
      heldBy: [
        rabbitmq('broker/alarm', 'sends wait, and consumers and their acknowledgements go on'),
        faults('connection', 'blocks sends and not consumers, until there is space again'),
      ],
    },
    {
      id: 'no-new-connections',
      fault: 'The server takes no new connections while old ones live',
      promise: 'The old ones go on; a lost one is tried again until it succeeds',
      heldBy: [faults('connection', 'serves the old ones, and is tried again until it takes new ones')],
    },
    {
      id: 'refused',
      fault: 'Wrong password, unknown virtual host, no right, connection limit',
      promise: 'Rejected at once at the start, told apart; at a reconnect tried again with fresh credentials',
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
      promise: 'The next one at once; the error names each address',
      heldBy: [
        rabbitmq('broker/start', 'moves on from one that refuses, whichever is tried first'),
        rabbitmq('broker/start', 'names every host and why it failed, after the time that it was given'),
        rabbitmq('broker/reconnect', 'moves to another host when its own does not come back'),
      ],
    },
    {
      id: 'tls',
      fault: 'TLS: unknown authority, wrong name, expired certificate, TLS to a plain port and the reverse',
      promise: 'Refused with a clear code; never in the clear instead',
      heldBy: [
        rabbitmq('broker/tls', 'refuses a certificate %s at once'),
        rabbitmq(
          'broker/tls',
          'does not go on in the clear when it is to speak to a server without TLS, nor the other way round',
        ),
      ],
    },
    {
      id: 'secret',
      fault: 'A secret expires',
      promise: 'The next one is sent in time, on the connections that are open',
      heldBy: [
        rabbitmq(
          'broker/credentials',
          'is followed by the next one in time, on the connections that are open',
        ),
      ],
    },
    {
      id: 'close-anywhere',
      fault: 'Closed while connecting, waiting, blocked, black-holed',
      promise: 'Settles in time; no later connect; the process ends',
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
      ],
    },
  ],
  'Cluster of three nodes': [
    {
      id: 'leader-lost',
      fault: 'The leader of a quorum queue is stopped, killed, or stands still',
      promise: 'Another one takes over: everything goes on, nothing confirmed is lost',
      heldBy: [faults('cluster', '%s is replaced: everything goes on, and nothing confirmed is lost')],
    },
    {
      id: 'majority-lost',
      fault: 'Two of three nodes are gone',
      promise: 'Neither confirm nor refusal comes: each send settles at its own limit',
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
      promise: 'The queue does not count as missing; work goes on when the node is back',
      heldBy: [
        faults('cluster', 'whose node with a classic queue is gone does not count that queue as missing'),
      ],
    },
    {
      id: 'partition',
      fault: 'One node is cut off from the others',
      promise: 'Work goes on where the majority is, nothing confirmed is lost',
      heldBy: [faults('cluster', 'that is cut in two goes on where the majority is')],
    },
    {
      id: 'rolling-restart',
      fault: 'Every node is restarted in turn',
      promise: 'Sends and consumers move over, nothing fails',
      heldBy: [faults('cluster', 'that is restarted node by node never stops, and loses nothing')],
    },
  ],
  'Channel and topology': [
    {
      id: 'mismatch',
      fault: 'The queue exists with other arguments (406)',
      promise: 'A `TopologyError` with both values, and no blind repetition',
      heldBy: [rabbitmq('topology/refused', 'of another kind or durability is refused by its property')],
    },
    {
      id: 'verdicts',
      fault: 'Two verdicts on one message; a verdict on a delivery of a channel that is gone',
      promise: 'The first counts; a stale one never reaches the new channel',
      heldBy: [
        rabbitmq('consumer/verdicts', 'counts once: after %s every other one returns false and does nothing'),
        rabbitmq('consumer/connection-lost', 'lets no verdict on an old delivery reach the new channel'),
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
      promise: 'Its signal aborts, its message runs again, the consumer lives on',
      heldBy: [
        rabbitmq(
          'consumer/queue-lost',
          'has its signal aborted and its message run again, and the consumer lives on',
        ),
      ],
    },
    {
      id: 'rights',
      fault: 'A right is refused or revoked',
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
      fault: 'The connection is lost while a consumer sets itself up again',
      promise: 'It is kept and tried again at once',
      heldBy: [faults('channel', 'is no reason to wait longer, however often it happens')],
    },
  ],
  Publishing: [
    {
      id: 'unroutable',
      fault: 'No queue takes the message',
      promise: '`UnroutableError`',
      heldBy: [
        rabbitmq('producer/refused-by-server', 'is reported when the queue is not the contract’s to declare'),
      ],
    },
    {
      id: 'full-queue',
      fault: 'The queue is full (`reject-publish`)',
      promise: '`RejectedError`',
      heldBy: [
        rabbitmq(
          'producer/refused-by-server',
          'of type %s rejects what it can not take, and takes it when there is room',
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
      fault: 'The server is away, and there are 200 000 sends',
      promise: 'A bounded number waits, the rest is refused at once',
      heldBy: [
        rabbitmq(
          'producer/limits',
          '10 000 of 200 000 sends wait and arrive later, and the rest is refused at once',
        ),
      ],
    },
    {
      id: 'refused-locally',
      fault: 'Too large a body, headers over a frame',
      promise: 'Refused before anything is sent, with the reason',
      heldBy: [
        rabbitmq('producer/refused-locally', 'says how large the body is, and how large it may be'),
        rabbitmq('producer/refused-locally', 'says that the headers do not fit a frame'),
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
      promise: 'Tried again by the policy, then dead-lettered with the reason; never without a delay',
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
      promise: 'Another worker has the message at once, marked as redelivered',
      heldBy: [faults('consuming', 'leaves its message to another one at once, marked as redelivered')],
    },
    {
      id: 'sigterm',
      fault: 'The process is told to end under load',
      promise: 'Handlers end, the rest goes back, the process exits by itself',
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
      fault: 'A message breaks the decoder of amqplib',
      promise: 'No reconnect storm: the pauses grow',
      heldBy: [faults('consuming', 'costs a connection each time, at a pace that slows down')],
    },
    {
      id: 'invalid',
      fault:
        'An invalid body: no JSON, bad UTF-8, a wrong type, too large, too deep, `__proto__`; a schema that throws',
      promise: 'A dead letter with at most 20 issues; the handler does not see it',
      heldBy: [
        rabbitmq(
          'consumer/invalid',
          'because it is %s is dead-lettered as it is, and its handler does not see it',
        ),
        rabbitmq('consumer/invalid', 'names every place that does not fit, twenty at most'),
        rabbitmq('consumer/invalid', 'is found by a schema that takes its time, or throws'),
        rabbitmq('consumer/invalid', 'breaks nothing when it is nested deeper than a schema can follow'),
      ],
    },
    {
      id: 'foreign-headers',
      fault: 'Headers named `__proto__`, `CC`, `BCC`, `x-…` from outside',
      promise: 'They reach no prototype, and route nothing when a message is republished',
      heldBy: [
        rabbitmq('consumer/other-clients', 'can not reach a prototype with a header'),
        rabbitmq(
          'consumer/other-clients',
          'is not routed again by the CC headers and server headers of its dead letter',
        ),
      ],
    },
    {
      id: 'passwords',
      fault: 'A password in a URL, an error, a log line',
      promise: 'It is never printed',
      heldBy: [
        rabbitmq(
          'broker/secrets',
          'is in no event, log line, state, error or inspected object of a broker at work',
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
      promise: 'The rules find each of them out, and have nothing against a sound one',
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
