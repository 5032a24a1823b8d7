import { Controller, Get, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Broker, procedure, queue } from 'leveret';
import type { MessageOf, Requester } from 'leveret/nestjs';
import { Consumer, InjectProducer, InjectRequester, LeveretModule } from 'leveret/nestjs';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { type Gate, gate } from '../helpers/gate.js';

const emails = queue('emails', z.object({ to: z.string() }));
const quote = procedure('quote', {
  request: z.object({ sku: z.string() }),
  response: z.object({ price: z.number() }),
});
const url = 'memory://of-the-platforms';

/** What a test holds, and sees. */
class Scene {
  readonly held: Gate = gate();
  readonly entered: Gate = gate();
  readonly handled: string[] = [];
}

@Controller()
class ShopController {
  constructor(
    private readonly scene: Scene,
    @InjectProducer(emails) private readonly outgoing: { send(body: { to: string }): Promise<unknown> },
    @InjectRequester(quote) private readonly quotes: Requester<typeof quote>,
  ) {}

  @Get('slow')
  async slow() {
    this.scene.entered.open();
    await this.scene.held.opened;
    await this.outgoing.send({ to: 'late' });
    return await this.quotes.request({ sku: 'A1' });
  }
}

@Consumer(emails)
class Mailer {
  constructor(@Inject(Scene) private readonly scene: Scene) {}

  handle({ body }: MessageOf<typeof emails>) {
    this.scene.handled.push(body.to);
  }
}

@Module({
  imports: [LeveretModule.forRoot({ url }), LeveretModule.forFeature([emails, quote])],
  controllers: [ShopController],
  providers: [Mailer, Scene],
})
class AppModule {}

it.each([
  ['Express', () => new ExpressAdapter()],
  ['Fastify', () => new FastifyAdapter()],
])(
  'lets the requests in flight of %s send and ask while the application closes',
  async (_name, makeAdapter) => {
    await using elsewhere = await Broker.connect(url);
    await elsewhere.responder(quote, () => ({ price: 7 })).ready;
    const app = await NestFactory.create(AppModule, makeAdapter(), { logger: false });
    await app.listen(0, '127.0.0.1');
    const scene = app.get(Scene);
    await app.get(Broker).producer(emails).send({ to: 'early' });
    await expect.poll(() => scene.handled).toEqual(['early']);

    const response = fetch(`${await app.getUrl()}/slow`, { headers: { connection: 'close' } });
    await scene.entered.opened;
    const closed = app.close();
    await expect.poll(() => elsewhere.stats(emails)).toMatchObject({ consumers: 0 });
    scene.held.open();
    expect(await (await response).json()).toEqual({ price: 7 });
    await closed;
    expect(scene.handled).toEqual(['early']);
    await expect(elsewhere.stats(emails)).resolves.toMatchObject({ messages: 1 });
    await elsewhere.purge(emails);
  },
);
