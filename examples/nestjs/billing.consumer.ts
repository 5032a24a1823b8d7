import { Logger } from '@nestjs/common';
import type { Producer } from 'leveret';
import { Consumer, InjectProducer, type MessageOf } from 'leveret/nestjs';
import { billing, emails } from './contracts.js';
import { Ledger } from './ledger.js';

/** Books each order, and has an invoice sent. */
@Consumer(billing, { concurrency: 10 })
export class BillingConsumer {
  readonly #logger = new Logger(BillingConsumer.name);

  constructor(
    private readonly ledger: Ledger,
    @InjectProducer(emails) private readonly outgoing: Producer<typeof emails>,
  ) {}

  async handle({ body }: MessageOf<typeof billing>): Promise<void> {
    this.#logger.log(`${body.id} begins`);
    await this.ledger.book(body.id, body.total);
    await this.outgoing.send({ to: body.email, subject: `Invoice of order ${body.id}: ${body.total} EUR` });
    this.#logger.log(`${body.id} ends`);
  }
}
