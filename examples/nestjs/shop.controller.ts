import { BadRequestException, Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { type InputOf, type Producer, ValidationError } from 'leveret';
import { InjectProducer, InjectRequester, type Requester } from 'leveret/nestjs';
import { orders, quote } from './contracts.js';

type Order = InputOf<typeof orders.schema>;

@Controller()
export class ShopController {
  constructor(
    @InjectProducer(orders) private readonly events: Producer<typeof orders>,
    @InjectRequester(quote) private readonly quotes: Requester<typeof quote>,
  ) {}

  /** Resolves when RabbitMQ has confirmed the event: from then on it cannot be lost. */
  @Post('orders')
  @HttpCode(202)
  async place(@Body() order: Order): Promise<{ messageId: string }> {
    try {
      const { messageId } = await this.events.send(order, { routingKey: 'order.placed' });
      return { messageId };
    } catch (error) {
      // The contract has checked the body, before anything was sent.
      if (error instanceof ValidationError) throw new BadRequestException(error.issues);
      throw error;
    }
  }

  @Get('quotes/:sku')
  async price(@Param('sku') sku: string): Promise<{ price: number }> {
    return await this.quotes.request({ sku }, { timeoutMs: 5_000 });
  }
}
