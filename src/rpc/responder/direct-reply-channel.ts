import type { PublishingChannel } from '../../producer/publisher/publishing-channel.js';
import type { Channel, ChannelOptions, Link, OutgoingMessage, TransportError } from '../../transport/port.js';
import type { Clock, Timer } from '../../util/clock.js';

/** How long the first answer that is not confirmed waits for others, in milliseconds. */
const ASK_DELAY_MS = 100;

/** How many answers are published before the server is asked at once. */
const ASK_AFTER = 250;

/**
 * A channel for answers to `amq.rabbitmq.reply-to`. The server stores none of them, so a publisher confirm proves only
 * that the server has processed the answer, and a confirm for each takes a tenth of the time of a short request. Here one round
 * trip proves the same for many answers: the server processes a channel in order (https://www.rabbitmq.com/docs/channels), so its
 * answer to one method covers everything that was written before.
 *
 * | state  | publish       | flush  | time is over | answered                                              | lost, closed |
 * |--------|---------------|--------|--------------|-------------------------------------------------------|--------------|
 * | idle   | armed         |        |              |                                                       |              |
 * | armed  | asking (many) | asking | asking       |                                                       | idle         |
 * | asking |               |        |              | confirms; then idle, armed, or asking (many, flushed) | idle         |
 */
export class DirectReplyChannel implements PublishingChannel {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #onConfirm: ChannelOptions['onConfirm'];
  #published = 0;
  /** How many answers the current question covers. */
  #asked = 0;
  #isAsking = false;
  /** A sender waits for the next question. */
  #isFlushed = false;
  #timer: Timer | undefined;

  /** Opens a channel on a link. Rejects with a `TransportError`. */
  static async open(link: Link, clock: Clock, options: ChannelOptions): Promise<DirectReplyChannel> {
    let disarm = () => {};
    const onClosed = (error: TransportError) => {
      disarm();
      options.onClosed(error);
    };
    const channel = await link.openChannel({ ...options, confirms: false, onClosed });
    const opened = new DirectReplyChannel(channel, clock, options.onConfirm);
    disarm = () => opened.#disarm();
    return opened;
  }

  private constructor(channel: Channel, clock: Clock, onConfirm: ChannelOptions['onConfirm']) {
    this.#channel = channel;
    this.#clock = clock;
    this.#onConfirm = onConfirm;
  }

  get isOpen(): boolean {
    return this.#channel.isOpen;
  }

  publish(message: OutgoingMessage): void {
    this.#channel.publish(message);
    this.#published++;
    this.#askInTime();
  }

  flush(): void {
    this.#isFlushed = this.#published > this.#asked;
    this.#askInTime();
  }

  close(): Promise<void> {
    this.#disarm();
    return this.#channel.close();
  }

  #askInTime(): void {
    const count = this.#published - this.#asked;
    if (this.#isAsking || count === 0 || !this.#channel.isOpen) return;
    if (this.#isFlushed || count >= ASK_AFTER) void this.#ask();
    else this.#timer ??= this.#clock.setTimeout(() => void this.#ask(), ASK_DELAY_MS);
  }

  async #ask(): Promise<void> {
    this.#disarm();
    this.#isAsking = true;
    // Covers everything that is published in this turn.
    await Promise.resolve();
    this.#asked = this.#published;
    this.#isFlushed = false;
    try {
      // The channel consumes nothing, so of all methods with an answer, this one has the least effect.
      await this.#channel.setPrefetch(0);
    } catch {
      // The channel is lost, and its `onClosed` reports it.
      return;
    }
    this.#isAsking = false;
    this.#onConfirm?.(this.#asked, true, true);
    this.#askInTime();
  }

  #disarm(): void {
    if (this.#timer) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
