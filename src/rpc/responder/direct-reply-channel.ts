import type { PublishingChannel } from '../../producer/publisher/publishing-channel.js';
import type { Channel, ChannelOptions, Link, OutgoingMessage, TransportError } from '../../transport/port.js';
import type { Clock, Timer } from '../../util/clock.js';

/** How long the first answer that is not confirmed waits for others, in milliseconds. */
const ASK_DELAY_MS = 100;

/** How many answers are published before the server is asked at once. */
const ASK_AFTER = 250;

type QuestionState =
  | { readonly status: 'idle' }
  | { readonly status: 'armed'; readonly timer: Timer }
  /** `isFlushed`: a sender waits for the next question. */
  | { readonly status: 'asking'; isFlushed: boolean };

const IDLE: QuestionState = { status: 'idle' };

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
 *
 * An empty cell changes nothing.
 */
export class DirectReplyChannel implements PublishingChannel {
  readonly #channel: Channel;
  readonly #clock: Clock;
  readonly #onConfirm: ChannelOptions['onConfirm'];
  #published = 0;
  /** The number of answers that the last question covers. */
  #asked = 0;
  #state: QuestionState = IDLE;

  /** Opens a channel on a link. Rejects with a `TransportError`. */
  static async open(link: Link, clock: Clock, options: ChannelOptions): Promise<DirectReplyChannel> {
    let stop = () => {};
    const onClosed = (error: TransportError) => {
      stop();
      options.onClosed(error);
    };
    const channel = await link.openChannel({ ...options, confirms: false, onClosed });
    const opened = new DirectReplyChannel(channel, clock, options.onConfirm);
    stop = () => opened.#enter(IDLE);
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
    this.#askInTime(false);
  }

  flush(): void {
    if (this.#state.status === 'asking') this.#state.isFlushed = this.#published > this.#asked;
    else this.#askInTime(true);
  }

  close(): Promise<void> {
    this.#enter(IDLE);
    return this.#channel.close();
  }

  #askInTime(isFlushed: boolean): void {
    const { status } = this.#state;
    const count = this.#published - this.#asked;
    if (status === 'asking' || count === 0 || !this.#channel.isOpen) return;
    if (isFlushed || count >= ASK_AFTER) void this.#ask();
    else if (status === 'idle')
      this.#enter({ status: 'armed', timer: this.#clock.setTimeout(() => void this.#ask(), ASK_DELAY_MS) });
  }

  async #ask(): Promise<void> {
    const asking = { status: 'asking' as const, isFlushed: false };
    this.#enter(asking);
    // Covers everything that is published in this turn.
    await Promise.resolve();
    this.#asked = this.#published;
    asking.isFlushed = false;
    try {
      // The channel consumes nothing, so of all methods with an answer, this one has the least effect.
      await this.#channel.setPrefetch(0);
    } catch {
      // The channel is lost, and its `onClosed` reports it.
      return;
    }
    this.#enter(IDLE);
    this.#onConfirm?.(this.#asked, true, true);
    this.#askInTime(asking.isFlushed);
  }

  #enter(state: QuestionState): void {
    if (this.#state.status === 'armed') this.#clock.clearTimeout(this.#state.timer);
    this.#state = state;
  }
}
