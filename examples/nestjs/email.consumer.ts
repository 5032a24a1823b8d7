import { Logger } from '@nestjs/common';
import { Consumer, type MessageOf } from 'leveret/nestjs';
import { emails } from './contracts.js';

@Consumer(emails, { concurrency: 10 })
export class EmailConsumer {
  readonly #logger = new Logger(EmailConsumer.name);

  handle({ body }: MessageOf<typeof emails>): void {
    this.#logger.log(`to ${body.to}: ${body.subject}`);
  }
}
