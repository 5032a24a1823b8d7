import type { Channel } from '../../transport/port.js';

/** What an publisher needs of a channel that tells it what the server has confirmed. */
export interface PublishingChannel extends Pick<Channel, 'isOpen' | 'publish' | 'close'> {
  /** Somebody waits for the confirms of what is published: what was put off is to happen now. Undefined where nothing is. */
  readonly flush?: () => void;
}
