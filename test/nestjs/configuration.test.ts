import { Injectable, Logger, Module, type ModuleMetadata } from '@nestjs/common';
import { type Producer, queue } from 'leveret';
import {
  Consumer,
  InjectProducer,
  LeveretModule,
  type LeveretModuleOptions,
  Responder,
} from 'leveret/nestjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { createApplication } from './support/application.js';

const emails = queue('emails', z.object({ to: z.string() }), { retry: false });
const memory = LeveretModule.forRoot({ url: 'memory:' });

@Consumer(emails)
class Mailer {
  handle() {}
}

@Consumer(emails, { broker: 'nowhere' })
class Lost {
  handle() {}
}

@Module({ providers: [Mailer] })
class FirstModule {}

@Module({ providers: [Mailer] })
class SecondModule {}

const options = (given: object) => [LeveretModule.forRoot(given as LeveretModuleOptions)];

async function start(metadata: ModuleMetadata): Promise<unknown> {
  const app = await createApplication(metadata);
  return app.init().catch((error: unknown) => error);
}

describe('a mistake in the modules', () => {
  it.each<[string, ModuleMetadata, RegExp]>([
    ['without a URL', { imports: options({}) }, /'url' must be .* got undefined/],
    ['with an undefined URL', { imports: options({ url: process.env.NOT_SET }) }, /got undefined/],
    ['with an empty URL', { imports: options({ url: '' }) }, /got an empty string/],
    ['with an empty list', { imports: options({ url: [] }) }, /'url'/],
    ['with an empty URL in a list', { imports: options({ url: ['amqp://a', ''] }) }, /'url'/],
    [
      'with an unknown option',
      { imports: options({ url: 'memory:', shutdownTimeout: 1 }) },
      /unknown option/,
    ],
    [
      'with a wrong option',
      { imports: options({ url: 'memory:', wait: 'no' }) },
      /'wait' must be true or false/,
    ],
    [
      'with a factory that makes no options',
      { imports: [LeveretModule.forRootAsync({ useFactory: () => undefined as never })] },
      /expected an options object, got undefined/,
    ],
    [
      'with two brokers of one name',
      { imports: [memory, LeveretModule.forRoot({ url: 'memory:' })] },
      /'default'/,
    ],
    [
      'with a consumer among the controllers',
      { imports: [memory], controllers: [Mailer] },
      /Mailer .* RootTestModule/,
    ],
    [
      'with a consumer in two modules',
      { imports: [memory, FirstModule, SecondModule] },
      /Mailer .* FirstModule .* SecondModule/,
    ],
    ['with a broker that was not set up', { imports: [memory], providers: [Lost] }, /Lost: .* 'nowhere'/],
  ])('%s is told when the application starts', async (_what, metadata, message) => {
    expect(await start(metadata)).toMatchObject({
      name: 'ConfigurationError',
      code: 'INVALID_OPTION',
      message: expect.stringMatching(message),
    });
  });

  it('is told at once where nothing else can be done', async () => {
    expect(() => LeveretModule.forFeature([undefined as never])).toThrow(/no contract/);
    expect(() => LeveretModule.forFeature([emails, queue('emails', z.string())])).toThrow(/two contracts/);
    expect(() => LeveretModule.forFeature([emails, emails])).not.toThrow();
    expect(() => LeveretModule.forRootAsync({} as never)).toThrow(/'useFactory'/);
    expect(() => Responder(undefined as never)(Mailer as never)).toThrow(/one contract/);
    const imports = [memory, LeveretModule.forFeature([emails], { broker: 'nowhere' })];
    await expect(createApplication({ imports })).rejects.toThrow(/no broker 'nowhere'/);
  });
});

it('logs a failed and a dead-lettered message by the logger of Nest', async () => {
  const lines: string[] = [];
  const write = (message: unknown, ...rest: unknown[]) => lines.push([message, ...rest].join(' | '));
  @Consumer(emails)
  class Failing {
    handle() {
      throw new Error('no mail today');
    }
  }
  @Injectable()
  class Sender {
    constructor(@InjectProducer(emails) readonly outgoing: Producer<typeof emails>) {}
  }
  const app = await createApplication({
    imports: [memory, LeveretModule.forFeature([emails])],
    providers: [Failing, Sender],
  });
  app.useLogger({ log: write, warn: write, error: write });
  onTestFinished(() => Logger.overrideLogger(false));
  await app.init();
  await app.get(Sender).outgoing.send({ to: 'ada' });
  const about = (event: string) => lines.find((line) => line.startsWith(event));
  await expect.poll(() => about('dead-lettered')).toMatch(/no mail today \(queue: emails.*\| Leveret$/);
  expect(about('handler-error')).toMatch(/no mail today[\s\S]*configuration\.test/);
});
