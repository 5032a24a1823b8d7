import type { Channel } from '../../transport/port.js';

/** What a publisher needs of a channel that reports confirms. */
export interface PublishingChannel extends Pick<Channel, 'isOpen' | 'publish' | 'close'> {
  /** Performs delayed work at once, because sends wait for their confirms. Undefined for a channel that delays nothing. */
  readonly flush?: () => void;
}
