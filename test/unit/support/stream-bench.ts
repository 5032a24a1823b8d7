import { Inbox } from '../../../src/consumer/inbox.js';
import type { ReceivedMessage } from '../../../src/consumer/message.js';
import { MessageStream } from '../../../src/consumer/message-stream.js';
import { FakeJudge, FakeSession, received } from './deliveries.js';
import { turn } from './fake-clock.js';
import { tagOf } from './handler-bench.js';

/** A stream of messages that the test delivers, and whose verdicts it sees. */
export class StreamBench {
  readonly inbox = new Inbox();
  readonly judge = new FakeJudge();
  readonly stream: MessageStream;
  /** When the first loop began and the last was left. */
  readonly log: string[] = [];
  session = new FakeSession();

  constructor(admit: (message: ReceivedMessage) => boolean | Promise<boolean> = () => true) {
    this.stream = new MessageStream({
      inbox: this.inbox,
      admit,
      onFirst: () => this.log.push('first'),
      onLast: async (giveBack) => {
        this.log.push('last');
        await turn();
        giveBack();
      },
    });
  }

  deliver(...tags: number[]): ReceivedMessage[] {
    return tags.map((deliveryTag) => {
      const message = received({ deliveryTag }, { session: this.session, judge: this.judge });
      this.inbox.push(message);
      this.stream.fill();
      return message;
    });
  }
}

/** The tag of the next message; undefined at the end. */
export async function next(loop: AsyncIterator<unknown>): Promise<number | undefined> {
  const { done, value } = await loop.next();
  return done ? undefined : tagOf(value as ReceivedMessage);
}
