import { Module } from '@nestjs/common';
import { LeveretModule } from 'leveret/nestjs';
import { BillingConsumer } from './billing.consumer.js';
import { emails, orders, quote } from './contracts.js';
import { EmailConsumer } from './email.consumer.js';
import { HealthController } from './health.controller.js';
import { Ledger } from './ledger.js';
import { QuoteResponder } from './quote.responder.js';
import { ShopController } from './shop.controller.js';

@Module({
  imports: [
    LeveretModule.forRoot({ url: process.env.RABBITMQ_URL ?? 'memory:', name: 'shop' }),
    LeveretModule.forFeature([orders, emails, quote]),
  ],
  controllers: [ShopController, HealthController],
  providers: [Ledger, BillingConsumer, EmailConsumer, QuoteResponder],
})
export class AppModule {}
