import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Broker, exchange, type Producer, procedure, queue } from 'leveret';
import {
  type AnswerOf,
  Consumer,
  getBrokerToken,
  getProducerToken,
  getRequesterToken,
  InjectBroker,
  InjectProducer,
  InjectRequester,
  LeveretModule,
  type LeveretModuleOptions,
  type LeveretOptionsFactory,
  type MessageOf,
  type Requester,
  Responder,
} from 'leveret/nestjs';
import { TestBroker } from 'leveret/testing';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createApplication, startApplication } from './support/application.js';

const emails = queue('emails', z.object({ to: z.string() }));
const orders = exchange('orders', z.object({ id: z.string() }), { type: 'topic' });
const billing = orders.queue('billing', 'eu.*');
const watch = orders.subscription('#');
const quote = procedure('quote', {
  request: z.object({ sku: z.string() }),
  response: z.object({ price: z.number() }),
});

@Injectable()
class Shop {
  constructor(
    readonly broker: Broker,
    @InjectBroker() readonly same: Broker,
    @InjectProducer(emails) readonly outgoing: Producer<typeof emails>,
    @InjectProducer(orders) readonly events: Producer<typeof orders>,
    @InjectRequester(quote) readonly quotes: Requester<typeof quote>,
  ) {}
}

@Injectable()
class Other {
  constructor(
    @InjectBroker('other') readonly broker: Broker,
    @InjectProducer(emails, 'other') readonly outgoing: Producer<typeof emails>,
    @InjectRequester(quote, 'other') readonly quotes: Requester<typeof quote>,
  ) {}
}

const feature = LeveretModule.forFeature([emails, orders, quote]);

@Module({ imports: [feature], providers: [Shop], exports: [Shop] })
class ShopModule {}

describe('what is injected', () => {
  it('is the broker, and one producer for each contract, however many modules ask', async () => {
    const imports = [
      LeveretModule.forRoot({ url: 'memory:' }),
      ShopModule,
      LeveretModule.forFeature([emails]),
    ];
    @Injectable()
    class Mailer {
      constructor(@InjectProducer(emails) readonly outgoing: Producer<typeof emails>) {}
    }
    const { app, broker } = await startApplication({ imports, providers: [Mailer] });
    const shop = app.get(Shop);
    expect({ broker: shop.broker, same: shop.same, app: app.get(getBrokerToken()) }).toEqual({
      broker,
      same: broker,
      app: broker,
    });
    expect(app.get(Mailer).outgoing).toBe(shop.outgoing);
    expect(app.get(getProducerToken(orders))).toBe(shop.events);
    expect(app.get(getRequesterToken(quote))).toBe(shop.quotes);
  });

  it('sends, asks and is consumed on the broker of its name', async () => {
    const seen: string[] = [];
    @Consumer(billing)
    class Billing {
      handle({ body }: MessageOf<typeof billing>) {
        seen.push(`billing ${body.id}`);
      }
    }
    @Consumer(watch)
    class Watch {
      handle({ body }: MessageOf<typeof watch>) {
        seen.push(`watch ${body.id}`);
      }
    }
    @Responder(quote)
    class Quotes {
      async handle({ body }: MessageOf<typeof quote>): Promise<AnswerOf<typeof quote>> {
        return { price: body.sku.length };
      }
    }
    @Responder(quote, { broker: 'other' })
    class OtherQuotes {
      handle(): AnswerOf<typeof quote> {
        return { price: 99 };
      }
    }
    const app = await createApplication({
      imports: [
        LeveretModule.forRoot({ url: 'memory:' }),
        LeveretModule.forRoot({ url: 'memory:', broker: 'other' }),
        LeveretModule.forFeature([emails, quote], { broker: 'other' }),
        ShopModule,
      ],
      providers: [Billing, Watch, Quotes, OtherQuotes, Other],
    });
    await app.init();
    const shop = app.get(Shop);
    const other = app.get(Other);
    expect(other.broker).not.toBe(shop.broker);
    await shop.events.send({ id: '1' }, { routingKey: 'eu.paid' });
    await expect.poll(() => [...seen].sort()).toEqual(['billing 1', 'watch 1']);
    await expect(shop.quotes.request({ sku: 'A12' })).resolves.toEqual({ price: 3 });
    await expect(other.quotes.request({ sku: 'A12' }, { timeoutMs: 5_000 })).resolves.toEqual({ price: 99 });
    await other.outgoing.send({ to: 'ada' });
    await expect(other.broker.stats(emails)).resolves.toMatchObject({ messages: 1 });
    await expect(shop.broker.stats(emails)).resolves.toMatchObject({ messages: 0 });
    await app.close();
    expect({ shop: shop.broker.state.status, other: other.broker.state.status }).toEqual({
      shop: 'closed',
      other: 'closed',
    });
  });

  it('can be overridden by its token', async () => {
    const sent: unknown[] = [];
    const fake = { send: async (body: unknown) => sent.push(body) };
    const broker = await TestBroker.start();
    const module = await Test.createTestingModule({
      imports: [LeveretModule.forRoot({ url: 'memory:' }), ShopModule],
    })
      .overrideProvider(Broker)
      .useValue(broker)
      .overrideProvider(getProducerToken(emails))
      .useValue(fake)
      .overrideProvider(getRequesterToken(quote))
      .useValue({ request: async () => ({ price: 7 }) })
      .compile();
    const shop = module.get(Shop);
    await shop.outgoing.send({ to: 'ada' });
    expect(sent).toEqual([{ to: 'ada' }]);
    expect(await shop.quotes.request({ sku: '' })).toEqual({ price: 7 });
    await module.close();
  });

  it('consumes nothing where a value has taken the place of a class', async () => {
    @Consumer(emails)
    class Mailer {
      handle() {}
    }
    const broker = await TestBroker.start();
    const module = await Test.createTestingModule({
      imports: [LeveretModule.forRoot({ url: 'memory:' })],
      providers: [Mailer],
    })
      .overrideProvider(Broker)
      .useValue(broker)
      .overrideProvider(Mailer)
      .useValue({ handle() {} })
      .compile();
    await module.init();
    expect(broker.health().consumers).toEqual([]);
    await module.close();
  });
});

describe('options that are made when the application is created', () => {
  @Injectable()
  class Settings implements LeveretOptionsFactory {
    async createLeveretOptions(): Promise<LeveretModuleOptions> {
      return { url: 'memory:', name: 'made' };
    }
  }
  @Module({ providers: [Settings], exports: [Settings] })
  class SettingsModule {}

  it.each([
    [
      'a factory',
      {
        imports: [SettingsModule],
        inject: [Settings],
        useFactory: (settings: Settings) => settings.createLeveretOptions(),
      },
    ],
    ['a class', { useClass: Settings }],
    ['a provider', { imports: [SettingsModule], useExisting: Settings }],
  ])('come from %s', async (_what, options) => {
    const app = await createApplication({
      imports: [LeveretModule.forRootAsync({ broker: 'made', ...options })],
    });
    await app.init();
    expect(app.get<Broker>(getBrokerToken('made')).state.status).toBe('connected');
    await app.close();
  });
});
