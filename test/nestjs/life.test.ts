import { createServer } from 'node:net';
import {
  type BeforeApplicationShutdown,
  Injectable,
  Module,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Broker, isLeveretError, type Producer, queue } from 'leveret';
import { Consumer, InjectProducer, LeveretModule, type MessageOf } from 'leveret/nestjs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { gate } from '../helpers/gate.js';
import { createApplication, startApplication } from './support/application.js';

const emails = queue('emails', z.object({ to: z.string() }));
const memory = LeveretModule.forRoot({ url: 'memory:' });

@Injectable()
class Log {
  readonly lines: string[] = [];
}

@Consumer(emails)
class Mailer {
  constructor(private readonly log: Log) {}

  async handle({ body }: MessageOf<typeof emails>): Promise<void> {
    this.log.lines.push(`${body.to} begins`);
    await new Promise((resolve) => setTimeout(resolve, 20));
    this.log.lines.push(`${body.to} ends`);
  }
}

/** Sends in every hook that may. */
class Sender
  implements
    OnModuleInit,
    OnApplicationBootstrap,
    OnModuleDestroy,
    BeforeApplicationShutdown,
    OnApplicationShutdown
{
  constructor(
    readonly name: string,
    readonly log: Log,
    readonly outgoing: Producer<typeof emails>,
  ) {}

  async onModuleInit() {
    await this.#send('init');
  }

  async onApplicationBootstrap() {
    await new Promise((resolve) => setTimeout(resolve, 5));
    await this.#send('bootstrap');
  }

  async onModuleDestroy() {
    await this.#send('destroy');
  }

  async beforeApplicationShutdown() {
    await this.#send('before shutdown');
  }

  onApplicationShutdown() {
    this.log.lines.push(`${this.name}: shutdown`);
  }

  async #send(hook: string) {
    await this.outgoing.send({ to: `${this.name} ${hook}` });
    this.log.lines.push(`${this.name}: ${hook}`);
  }
}

@Injectable()
class FeatureSender extends Sender {
  constructor(log: Log, @InjectProducer(emails) outgoing: Producer<typeof emails>) {
    super('feature', log, outgoing);
  }
}

@Injectable()
class RootSender extends Sender {
  constructor(log: Log, @InjectProducer(emails) outgoing: Producer<typeof emails>) {
    super('root', log, outgoing);
  }
}

@Module({ providers: [Log], exports: [Log] })
class LogModule {}

@Module({ imports: [LogModule, LeveretModule.forFeature([emails])], providers: [FeatureSender, Mailer] })
class FeatureModule {}

@Module({
  imports: [LogModule, memory, LeveretModule.forFeature([emails]), FeatureModule],
  providers: [RootSender],
})
class RootModule {}

describe('the life of an application', () => {
  it('has handlers between the last start and the first end of everything else', async () => {
    const app = await createApplication({ imports: [RootModule] });
    const log = app.get(Log).lines;
    await app.init();
    await expect.poll(() => log).toContain('root bootstrap ends');
    await app.get(RootSender).outgoing.send({ to: 'running' });
    await expect.poll(() => log).toContain('running begins');
    await app.close();
    const handled = log.filter((line) => line.endsWith('begins') || line.endsWith('ends'));
    const others = log.filter((line) => line.includes(':'));
    expect(handled).toEqual(
      ['feature init', 'root init', 'feature bootstrap', 'root bootstrap', 'running'].flatMap((it) => [
        `${it} begins`,
        `${it} ends`,
      ]),
    );
    expect(others.slice(0, 4)).toEqual(log.slice(0, 4));
    expect(log.slice(-6)).toEqual(others.slice(-6));
    expect(others.slice(-6).sort()).toEqual(
      ['destroy', 'before shutdown', 'shutdown']
        .flatMap((hook) => [`feature: ${hook}`, `root: ${hook}`])
        .sort(),
    );
  });

  it('can end twice, at once and later', async () => {
    const app = await createApplication({ imports: [RootModule] });
    await app.init();
    await Promise.all([app.close().catch(() => 'refused'), app.close().catch(() => 'refused')]);
    expect(app.get(Broker).state.status).toBe('closed');
  });

  it('does no I/O before it starts', async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections++;
      socket.destroy();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const url = `amqp://127.0.0.1:${port}`;
    const imports = [
      LeveretModule.forRoot({ url, startupTimeoutMs: 1_000 }),
      LeveretModule.forFeature([emails]),
    ];
    const app = await createApplication({ imports, providers: [Mailer, Log] });
    await new Promise((resolve) => setImmediate(resolve));
    expect(connections).toBe(0);
    await expect(app.init()).rejects.toMatchObject({ name: 'ConnectionError' });
    expect(connections).toBeGreaterThan(0);
    server.close();
  });

  it('fails to start with the error of Leveret, and closes what was opened', async () => {
    const url = 'memory://of-another-program';
    await using other = await Broker.connect(url);
    await other.declare(queue('emails', z.string(), { maxLength: 5 }));
    const imports = [LeveretModule.forRoot({ url }), LeveretModule.forFeature([emails])];
    const app = await createApplication({ imports });
    await expect(app.init()).rejects.toMatchObject({ name: 'TopologyError', code: 'MISMATCH' });
    expect(app.get(Broker).state.status).toBe('closed');

    const consuming = await createApplication({ imports: imports.slice(0, 1), providers: [Mailer, Log] });
    const failure = await consuming.init().catch((error: unknown) => error);
    expect(isLeveretError(failure) && failure.code).toBe('MISMATCH');
    expect(consuming.get(Broker).state.status).toBe('closed');
  });

  it('does not wait for RabbitMQ when it need not', async () => {
    const options = { url: 'amqp://127.0.0.1:1', wait: false, startupTimeoutMs: 1 };
    const app = await createApplication({
      imports: [LeveretModule.forRoot(options)],
      providers: [Mailer, Log],
    });
    await app.init();
    expect(app.get(Broker).health().status).toBe('down');
    await app.close();
    expect(app.get(Broker).state.status).toBe('closed');
  });

  it('is that of a standalone application too', async () => {
    const app = await NestFactory.createApplicationContext(RootModule, { logger: false });
    expect(app.get(Broker).health().consumers).toMatchObject([{ queue: 'emails', state: 'running' }]);
    await app.close();
    expect(app.get(Broker).state.status).toBe('closed');
  });

  it('aborts handlers at the deadline, and goes on closing', async () => {
    using started = gate();
    const signals: AbortSignal[] = [];
    @Consumer(emails)
    class Sleeper {
      async handle({ signal }: MessageOf<typeof emails>) {
        signals.push(signal);
        started.open();
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
      }
    }
    const options = { url: 'memory:', shutdownTimeoutMs: 50 };
    const app = await createApplication({ imports: [LeveretModule.forRoot(options)], providers: [Sleeper] });
    await app.init();
    await app.get(Broker).producer(emails).send({ to: 'unread' });
    await started.opened;
    await app.close();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true]);
  });

  it('shares nothing with another application of the same module', async () => {
    const first = await createApplication({ imports: [RootModule] });
    const second = await createApplication({ imports: [RootModule] });
    await Promise.all([first.init(), second.init()]);
    expect(first.get(Broker)).not.toBe(second.get(Broker));
    await first.close();
    await second.get(RootSender).outgoing.send({ to: 'second' });
    await expect.poll(() => second.get(Log).lines).toContain('second ends');
    expect(first.get(Log).lines).not.toContain('second begins');
  });
});

describe('an application on a broker for tests', () => {
  it('is the same, without its URL and its factory', async () => {
    const asked: string[] = [];
    const useFactory = () => {
      asked.push('options');
      return { url: 'amqp://nowhere' };
    };
    const imports = [LeveretModule.forRootAsync({ useFactory }), LeveretModule.forFeature([emails])];
    const { app, broker } = await startApplication({ imports, providers: [Mailer, Log, RootSender] });
    await broker.settled();
    expect(broker.handled(emails)).toMatchObject([{ outcome: 'acked' }, { outcome: 'acked' }]);
    await app.close();
    expect(asked).toEqual([]);
    expect(broker.state.status).toBe('closed');
    expect(broker.sent(emails)).toHaveLength(4);
  });
});
