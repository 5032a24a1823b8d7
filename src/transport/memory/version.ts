/** The versions of RabbitMQ that the embedded broker can behave as. */
export type ServerVersion = '3.13' | '4.0' | '4.3';

/** The differences between the versions, as measured on 3.10, 4.0 and 4.3. */
export interface Behaviour {
  readonly version: ServerVersion;
  readonly maxMessageBytes: number;
  /** The delivery limit of a quorum queue that is declared without one; undefined: unlimited. */
  readonly defaultDeliveryLimit: number | undefined;
  /** A negative delivery limit means none. */
  readonly negativeLimitIsNone: boolean;
  /** `basic.nack(requeue)` counts as a failed delivery, as `basic.reject(requeue)` does everywhere. */
  readonly nackCounts: boolean;
  /** Deliveries are counted in `x-acquired-count`, and both counts stay with a message that is dead-lettered. */
  readonly acquiredCount: boolean;
  /** How quorum queues treat priorities: not at all, in two classes, or in 32 strict levels. */
  readonly quorumPriorities: 'none' | 'two' | 'strict';
  /** Quorum queues without a delivery limit requeue at their end. */
  readonly requeueAtEnd: boolean;
  /** A quorum queue makes room for two when a requeued message has reached its delivery limit. */
  readonly roomForTwo: boolean;
  /** Quorum queues count the encoded properties into their length in bytes. */
  readonly countsPropertyBytes: boolean;
  /** Deaths are kept beside the message; before, in headers that clients can forge. */
  readonly ownDeaths: boolean;
  /** A queue declared without a type is compared as 'classic'; before, as one without the argument. */
  readonly typeIsFilledIn: boolean;
  /** An unknown exchange type closes the channel (406); before, the connection (503). */
  readonly unknownTypeIsSoft: boolean;
  /** A mandatory direct reply is returned, even if it has arrived. */
  readonly returnsReplies: boolean;
  /** The active consumer of a quorum queue gives way to one of a higher priority. */
  readonly activeConsumerYields: boolean;
  /** Consumers of classic queues and streams are refused a consumer timeout; before, the argument means nothing. */
  readonly refusesConsumerTimeout: boolean;
  /** The most `#` in a binding key of a topic exchange. */
  readonly maxHashes: number;
}

const V40: Behaviour = {
  version: '4.0',
  maxMessageBytes: 16_777_216,
  defaultDeliveryLimit: 20,
  negativeLimitIsNone: true,
  nackCounts: true,
  acquiredCount: false,
  quorumPriorities: 'two',
  requeueAtEnd: false,
  roomForTwo: false,
  countsPropertyBytes: false,
  ownDeaths: true,
  typeIsFilledIn: true,
  unknownTypeIsSoft: true,
  returnsReplies: true,
  activeConsumerYields: true,
  refusesConsumerTimeout: false,
  maxHashes: Number.POSITIVE_INFINITY,
};

/** True for the name of a version. */
export function isServerVersion(text: string): text is ServerVersion {
  return Object.hasOwn(BEHAVIOURS, text);
}

/** The behaviour of each version. */
export const BEHAVIOURS: Readonly<Record<ServerVersion, Behaviour>> = {
  '3.13': {
    ...V40,
    version: '3.13',
    maxMessageBytes: 134_217_728,
    defaultDeliveryLimit: undefined,
    negativeLimitIsNone: false,
    quorumPriorities: 'none',
    requeueAtEnd: true,
    roomForTwo: true,
    ownDeaths: false,
    typeIsFilledIn: false,
    unknownTypeIsSoft: false,
    activeConsumerYields: false,
  },
  '4.0': V40,
  '4.3': {
    ...V40,
    version: '4.3',
    nackCounts: false,
    acquiredCount: true,
    quorumPriorities: 'strict',
    countsPropertyBytes: true,
    returnsReplies: false,
    refusesConsumerTimeout: true,
    maxHashes: 2,
  },
};
