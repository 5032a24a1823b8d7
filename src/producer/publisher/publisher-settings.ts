import type { Contract } from '../../contracts/types.js';
import type { Connection } from '../../transport/connection/connection.js';
import type { ChannelOptions, Link } from '../../transport/port.js';
import type { Clock } from '../../util/clock.js';
import type { ChannelSlots } from './channel-slots.js';
import type { OnRestored } from './declare-on-demand.js';
import type { PublishingChannel } from './publishing-channel.js';

/** The parts and settings of a publisher. */
export interface PublisherSettings {
  /** The name of the target in messages, such as `the queue 'emails'`. */
  readonly target: string;
  readonly connection: Connection;
  readonly clock: Clock;
  /** The contract to declare before the first publish; undefined: none. */
  readonly contract: Contract | undefined;
  readonly maxInFlight: number;
  readonly maxBuffered: number;
  /** Opens another kind of channel than one with a confirm per message. */
  readonly openChannel?: ((link: Link, options: ChannelOptions) => Promise<PublishingChannel>) | undefined;
  /** Decides who may have a channel; absent: this publisher always may. */
  readonly slots?: ChannelSlots | undefined;
  /** The contract had disappeared and was declared again. Nothing is published before this resolves. */
  readonly onRestored?: OnRestored | undefined;
  /** Called with true when the publisher gets something to send, and with false when it has nothing to send and no channel. */
  readonly onActive?: ((isActive: boolean) => void) | undefined;
  /** The messages go to many queues, and need no order beyond that of each target. */
  readonly hasManyTargets?: boolean;
}

/** The name of a contract in messages, and the contract itself if its publisher declares it. */
export function publisherTargetOf(contract: Contract): Pick<PublisherSettings, 'target' | 'contract'> {
  return {
    target: `the ${contract.kind} '${contract.name}'`,
    // An exclusive queue belongs to the connection that consumes from it. Declared here, it would belong to another one.
    contract: contract.kind === 'queue' && contract.exclusive ? undefined : contract,
  };
}
