import { Injectable, Logger, type OnModuleDestroy } from '@nestjs/common';

/** Stands for a database: after it was closed, nothing can be booked. */
@Injectable()
export class Ledger implements OnModuleDestroy {
  readonly #logger = new Logger(Ledger.name);
  readonly #totals = new Map<string, number>();
  #isOpen = true;

  async book(orderId: string, total: number): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 50));
    if (!this.#isOpen) throw new Error('the ledger is closed');
    this.#totals.set(orderId, total);
  }

  totalOf(orderId: string): number | undefined {
    return this.#totals.get(orderId);
  }

  onModuleDestroy(): void {
    this.#isOpen = false;
    this.#logger.log('closed');
  }
}
