import type { ReceivedMessage } from '../../../src/consumer/delivery/message.js';
import { PrefetchBuffer } from '../../../src/consumer/delivery/prefetch-buffer.js';
import { LoopWorker } from '../../../src/consumer/workers/loop-worker.js';
import { FakeSession, FakeSettler } from './deliveries.js';
import { turn } from './fake-clock.js';
import { deliverTo, tagOf } from './worker-parts.js';

/** A worker whose loops the test drives: it delivers the messages, and sees the verdicts. */
export class LoopBench {
  readonly buffer = new PrefetchBuffer();
  readonly settler = new FakeSettler();
  readonly worker: LoopWorker;
  /** When the first loop began and the last was left. */
  readonly log: string[] = [];
  session = new FakeSession();

  constructor(admit: (message: ReceivedMessage) => boolean | Promise<boolean> = () => true) {
    this.worker = new LoopWorker({
      buffer: this.buffer,
      admit,
      onFirst: () => this.log.push('first'),
      onLast: async (giveBack) => {
        this.log.push('last');
        await turn();
        giveBack();
      },
    });
  }

  deliver(...tags: number[]) {
    return deliverTo(this, tags, this.session);
  }
}

/** The tag of the next message; undefined at the end. */
export async function next(loop: AsyncIterator<unknown>): Promise<number | undefined> {
  const { done, value } = await loop.next();
  return done ? undefined : tagOf(value as ReceivedMessage);
}
