import type { Channel } from '../transport/port.js';

/** What an outbox needs of a channel that tells it what the server has confirmed. */
export interface PublishingChannel extends Pick<Channel, 'isOpen' | 'publish' | 'close'> {
  /** Nothing follows: what was put off is to happen now. Undefined where nothing is. */
  readonly flush?: () => void;
}
