import { type INestApplication, Injectable, Logger, Module, type ModuleMetadata } from '@nestjs/common';
import { Broker, exchange, type Producer, procedure, queue } from 'leveret';
import {
  Consumer,
  getProducerToken,
  InjectProducer,
  InjectRequester,
  LeveretHealthIndicator,
  LeveretModule,
  type LeveretModuleOptions,
  Responder,
} from 'leveret/nestjs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { createApplication, startApplication } from './support/application.js';

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

const quote = procedure('quote', { request: z.string(), response: z.number() });
const orders = exchange('orders', z.object({ id: z.string() }));

type HandlerType = new () => { handle(): never };

/** A class with this decorator. */
function handling(decorate: (target: HandlerType) => void): HandlerType {
  class Handler {
    handle(): never {
      throw new Error('not called');
    }
  }
  decorate(Handler);
  return Handler;
}

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
    ['with an empty list', { imports: options({ url: [] }) }, /'url' must be .* got an empty list/],
    [
      'with an empty URL in a list',
      { imports: options({ url: ['amqp://a', ''] }) },
      /'url' .* for entry 2 got an empty string/,
    ],
    [
      'with a URL without a host',
      { imports: options({ url: `amqp://${process.env.NOT_SET ?? ''}` }) },
      /'url' .* without a host.* environment variable/,
    ],
    [
      'with a URL without a host, and a virtual host',
      { imports: options({ url: ['amqps:///orders'] }) },
      /without a host/,
    ],
    [
      'without options',
      { imports: [LeveretModule.forRoot(undefined as never)] },
      /LeveretModule\.forRoot: expected an options object, got undefined. Pass at least \{ url \}/,
    ],
    [
      'with an option that forRoot does not know',
      { imports: options({ url: 'memory:', foo: 1 }) },
      /LeveretModule\.forRoot: unknown option 'foo'\. Known options: (?=.*url)(?=.*wait)(?=.*shutdownTimeoutMs)(?=.*inheritAppConfig)(?=.*broker)(?=.*heartbeatSeconds)/,
    ],
    [
      'with a wrong name of a broker',
      { imports: options({ url: 'memory:', broker: '' }) },
      /'broker' must be a non-empty string/,
    ],
    [
      'with a factory that names the broker',
      {
        imports: [
          LeveretModule.forRootAsync({ useFactory: () => ({ url: 'memory:', broker: 'b' }) as never }),
        ],
      },
      /LeveretModule\.forRootAsync: .*'broker'.*beside 'useFactory'/,
    ],
    [
      'with an unknown option of a consumer',
      { imports: [memory], providers: [handling(Consumer(emails, { foo: 1 } as object))] },
      /^Handler: consumer of the queue 'emails': unknown option 'foo'\. Known options: .*broker, scope/,
    ],
    [
      'with an unknown option of a responder',
      { imports: [memory], providers: [handling(Responder(quote, { foo: 1 } as object))] },
      /^Handler: responder of the procedure 'quote': unknown option 'foo'\. Known options: (?!.*(?:orderBy|noAck)).*scope/,
    ],
    [
      'with options of a consumer that do not go together',
      { imports: [memory], providers: [handling(Consumer(emails, { concurrency: 9, prefetch: 1 }))] },
      /^Handler: .*'prefetch' must be at least/,
    ],
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
    expect(() => LeveretModule.forFeature([undefined as never])).toThrow(/no contract.* circular import/);
    expect(() => LeveretModule.forFeature(undefined as never)).toThrow(/a list of contracts, got undefined/);
    expect(() => LeveretModule.forFeature([orders.subscription('') as never])).toThrow(
      /the subscription to 'orders'/,
    );
    expect(() => LeveretModule.forFeature([emails, queue('emails', z.string())])).toThrow(/two contracts/);
    expect(() => LeveretModule.forFeature([emails, emails])).not.toThrow();
    expect(() => LeveretModule.forRootAsync({} as never)).toThrow(/'useFactory'/);
    expect(() => LeveretModule.forRootAsync(undefined as never)).toThrow(/'useFactory'/);
    expect(() => Responder(undefined as never)(Mailer as never)).toThrow(/one contract/);
    const imports = [memory, LeveretModule.forFeature([emails], { broker: 'nowhere' })];
    await expect(createApplication({ imports })).rejects.toThrow(/no broker 'nowhere'/);
  });

  it.each<[string, () => unknown, RegExp]>([
    [
      'undefined to @Consumer',
      () => handling(Consumer(undefined as never)),
      /@Consumer of Handler: .* got undefined.* circular import/,
    ],
    [
      'an exchange to @Consumer',
      () => handling(Consumer(orders as never)),
      /@Consumer of Handler: expected a queue or a subscription, got the exchange 'orders'/,
    ],
    [
      'undefined to @Responder',
      () => handling(Responder(undefined as never)),
      /@Responder of Handler: .* circular import/,
    ],
    [
      'a queue to @Responder',
      () => handling(Responder(emails as never)),
      /@Responder of Handler: expected a procedure, got the queue 'emails'/,
    ],
    [
      'undefined to @InjectProducer',
      () => InjectProducer(undefined as never),
      /@InjectProducer: .* circular import/,
    ],
    [
      'a procedure to @InjectProducer',
      () => InjectProducer(quote as never),
      /expected a queue or an exchange, got the procedure 'quote'.*@InjectRequester/,
    ],
    [
      'undefined to @InjectRequester',
      () => InjectRequester(undefined as never),
      /@InjectRequester: .* circular import/,
    ],
  ])('by passing %s is told at the decorator', (_what, decorate, message) => {
    expect(decorate).toThrow(
      expect.objectContaining({ name: 'ConfigurationError', message: expect.stringMatching(message) }),
    );
  });

  it('names forFeature when a producer was not provided', async () => {
    @Injectable()
    class Sender {
      constructor(@InjectProducer(emails) readonly outgoing: Producer<typeof emails>) {}
    }
    await expect(createApplication({ imports: [memory], providers: [Sender] })).rejects.toThrow(
      'LeveretProducer(queue "emails", broker "default") of LeveretModule.forFeature([…])',
    );
  });
});

describe('the logger of Nest', () => {
  @Consumer(emails)
  class Failing {
    handle() {
      throw new Error('no mail today');
    }
  }

  /** The lines that the application logs from now on. */
  function linesOf(app: INestApplication): string[] {
    const lines: string[] = [];
    const write = (message: unknown, ...rest: unknown[]) => lines.push([message, ...rest].join(' | '));
    app.useLogger({ log() {}, warn: write, error: write });
    onTestFinished(() => Logger.overrideLogger(false));
    return lines;
  }

  it('is told of a failed and of a dead-lettered message', async () => {
    const app = await createApplication({
      imports: [memory, LeveretModule.forFeature([emails])],
      providers: [Failing],
    });
    const lines = linesOf(app);
    await app.init();
    await app.get<Producer<typeof emails>>(getProducerToken(emails)).send({ to: 'ada' });
    const about = (event: string) => lines.find((line) => line.startsWith(event));
    await expect.poll(() => about('dead-lettered')).toMatch(/no mail today \(queue: emails.*\| Leveret$/);
    expect(about('handler-error')).toMatch(/no mail today[\s\S]*configuration\.test/);
  });

  it('is told by a broker that a test has put in the place of the configured one, until the end', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    const { app, broker } = await startApplication({ imports: [memory], providers: [Failing] });
    const lines = linesOf(app);
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    expect(lines).toEqual([
      expect.stringMatching(/^handler-error: no mail today .*[\s\S]*\| Leveret$/),
      expect.stringMatching(/^dead-lettered: no mail today .*\| Leveret$/),
    ]);
    await app.close();
    await new Promise((resolve) => setImmediate(resolve));
    expect(warnings).toEqual([]);
  });

  it('does not tell what the start of the application throws', async () => {
    const { app, lines } = await applicationWithoutQueue({ wait: true });
    await expect(app.init()).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await new Promise((resolve) => setImmediate(resolve));
    expect(lines).toEqual([]);
  });

  it('is told once of a consumer that has failed for good', async () => {
    const { app, lines } = await applicationWithoutQueue({ wait: false });
    await app.init();
    const health = app.get(LeveretHealthIndicator);
    await expect.poll(() => health.isAlive()).toMatchObject({ leveret: { status: 'down' } });
    await new Promise((resolve) => setImmediate(resolve));
    expect(lines).toEqual([expect.stringMatching(/^Failing has failed: .*'missing'/)]);
  });

  it('is told of a failed consumer that was made by hand', async () => {
    const app = await createApplication({ imports: [memory] });
    const lines = linesOf(app);
    await app.init();
    const consumer = app.get(Broker).consumer(missing, () => undefined);
    await expect(consumer.closed).resolves.toMatchObject({ code: 'NOT_FOUND' });
    await expect.poll(() => lines).toEqual([expect.stringMatching(/^consumer-failed: /)]);
  });

  const missing = queue('missing', z.string(), { declare: 'passive', deadLetter: false, retry: false });

  async function applicationWithoutQueue(given: { readonly wait: boolean }) {
    @Consumer(missing)
    class Failing {
      handle() {}
    }
    const imports = [LeveretModule.forRoot({ url: 'memory:', ...given })];
    const app = await createApplication({ imports, providers: [Failing] });
    return { app, lines: linesOf(app) };
  }
});
