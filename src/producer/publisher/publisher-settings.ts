import type { Contract } from '../../contracts/topology.js';
import type { Connection } from '../../transport/connection/connection.js';
import type { ChannelOptions, Link } from '../../transport/port.js';
import type { Clock } from '../../util/clock.js';
import type { ChannelSlots } from './channel-slots.js';
import type { PublishingChannel } from './publishing-channel.js';

/** What a publisher is made of. */
export interface PublisherSettings {
  /** How it is called in messages, such as `the queue 'emails'`. */
  readonly target: string;
  readonly connection: Connection;
  readonly clock: Clock;
  /** What has to be declared before the first publish; undefined: nothing. */
  readonly contract: Contract | undefined;
  readonly maxInFlight: number;
  readonly maxBuffered: number;
  /** Opens another channel than one with a confirm for each message. */
  readonly openChannel?: (link: Link, options: ChannelOptions) => Promise<PublishingChannel>;
  /** Who may have a channel; absent: this one always. */
  readonly slots?: ChannelSlots | undefined;
  /** The contract had vanished and was declared again. Nothing is published before this resolves. */
  readonly onRestored?: ((contract: Contract) => Promise<void>) | undefined;
  /** Told when it has something to send, and when it has neither that nor a channel any more. */
  readonly onActive?: ((isActive: boolean) => void) | undefined;
}
