import { AsyncLocalStorage } from 'node:async_hooks';
import {
  type ArgumentMetadata,
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE, Reflector } from '@nestjs/core';
import { DeadLetter, procedure, queue, RetryLater } from 'leveret';
import {
  type AnswerOf,
  Consumer,
  getMessage,
  LeveretModule,
  type MessageOf,
  Responder,
} from 'leveret/nestjs';
import { EMPTY, from, map, type Observable, of, tap } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createApplication, startApplication } from './support/application.js';

const emails = queue('emails', z.object({ to: z.string() }), { retry: { attempts: 2 } });
const quote = procedure('quote', {
  request: z.object({ sku: z.string() }),
  response: z.object({ price: z.number() }),
});
const imports = [LeveretModule.forRoot({ url: 'memory:' })];

@Injectable()
class Log {
  readonly lines: string[] = [];
}

@Injectable()
class Guard implements CanActivate {
  constructor(
    private readonly log: Log,
    private readonly reflector: Reflector,
  ) {}

  canActivate(context: ExecutionContext): boolean {
    const message = getMessage(context) as MessageOf<typeof emails>;
    const names = [context.getType(), context.getClass().name, context.getHandler().name];
    this.log.lines.push(
      `guard: ${names.join(' ')} ${this.reflector.get<string>('role', context.getClass())}`,
    );
    return message.body.to !== 'forbidden';
  }
}

@Injectable()
class Interceptor implements NestInterceptor {
  constructor(private readonly log: Log) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    this.log.lines.push(`interceptor: before ${getMessage(context)?.attempt}`);
    return next.handle().pipe(tap((result) => this.log.lines.push(`interceptor: after ${result}`)));
  }
}

@Injectable()
class Pipe implements PipeTransform {
  constructor(private readonly log: Log) {}

  transform(body: { to: string }, metadata: ArgumentMetadata) {
    this.log.lines.push(`pipe: ${metadata.type}`);
    return { to: body.to.toUpperCase() };
  }
}

@Catch(RangeError)
@Injectable()
class Filter implements ExceptionFilter {
  constructor(private readonly log: Log) {}

  catch(error: RangeError, host: ArgumentsHost): void {
    this.log.lines.push(
      `filter: ${error.message}, ${getMessage(host)?.id === undefined ? 'no' : 'its'} message`,
    );
  }
}

@UseGuards(Guard)
@UseInterceptors(Interceptor)
@UseFilters(Filter)
@Consumer(emails)
class Mailer {
  constructor(private readonly log: Log) {}

  @UsePipes(Pipe)
  async handle(message: MessageOf<typeof emails>): Promise<string> {
    const { body, id, attempt, signal } = message;
    this.log.lines.push(
      `handle: ${body.to} ${typeof id} ${attempt} ${signal.aborted} ${message.ack === undefined}`,
    );
    if (body.to === 'RANGE') throw new RangeError('out of range');
    if (body.to === 'GIVE UP') throw new DeadLetter('no use');
    if (body.to === 'LATER') throw new RetryLater();
    if (body.to === 'FAIL') throw new TypeError('failed');
    if (body.to === 'BY VERDICT') message.deadLetter('by verdict');
    return 'result';
  }
}
Reflect.defineMetadata('role', 'mailer', Mailer);

async function handled(to: string) {
  const { app, broker } = await startApplication({ imports, providers: [Mailer, Log] });
  await broker.producer(emails).send({ to });
  await broker.settled();
  return { lines: app.get(Log).lines, runs: broker.handled(emails), broker };
}

describe('what stands around a handler', () => {
  it("runs in Nest's order, with injection", async () => {
    const { lines, runs } = await handled('ada');
    expect(lines).toEqual([
      'guard: leveret Mailer handle mailer',
      'interceptor: before 1',
      'pipe: custom',
      'handle: ADA string 1 false false',
      'interceptor: after result',
    ]);
    expect(runs).toMatchObject([{ outcome: 'acked', body: { to: 'ada' } }]);
  });

  it('refuses by the exception of Nest', async () => {
    const { lines, runs } = await handled('forbidden');
    expect(lines).toHaveLength(1);
    expect(runs).toMatchObject([{ outcome: 'retried', error: { name: 'ForbiddenException' } }]);
  });

  it('has handled an error when a filter returns nothing', async () => {
    const { lines, runs } = await handled('range');
    expect(lines.at(-1)).toBe('filter: out of range, its message');
    expect(runs).toMatchObject([{ outcome: 'acked' }]);
  });

  it('leaves an error that no filter takes to the failure policy', async () => {
    const { runs } = await handled('fail');
    expect(runs).toMatchObject([{ outcome: 'retried', error: { message: 'failed' } }]);
  });

  it('keeps verdicts, thrown or called, from filters', async () => {
    @Catch()
    class All implements ExceptionFilter {
      catch() {}
    }
    UseFilters(All)(Mailer.prototype.handle as unknown as typeof Mailer);
    const given = await handled('give up');
    expect(given.broker.deadLettered(emails)).toHaveLength(1);
    expect((await handled('later')).runs).toMatchObject([{ outcome: 'retried' }]);
    expect((await handled('by verdict')).broker.deadLettered(emails)).toHaveLength(1);
    expect((await handled('fail')).runs).toMatchObject([{ outcome: 'acked' }]);
  });

  it.each<[string, () => unknown, object]>([
    ['a value', () => ({ price: 1 }), { price: 1 }],
    ['a promise', async () => ({ price: 2 }), { price: 2 }],
    ['an Observable', () => of({ price: 3 }), { price: 3 }],
    ['a promise of an Observable', async () => from([{ price: 3 }, { price: 4 }]), { price: 4 }],
  ])("answers with %s of a responder's filter", async (_what, answer, expected) => {
    @Catch()
    class Answering implements ExceptionFilter {
      catch() {
        return answer();
      }
    }
    @UseFilters(new Answering())
    @Responder(quote)
    class Quotes {
      handle(): AnswerOf<typeof quote> {
        throw new Error('not today');
      }
    }
    const { broker } = await startApplication({ imports, providers: [Quotes] });
    await expect(broker.request(quote, { sku: 'A1' })).resolves.toEqual(expected);
  });

  it('answers with what comes out of the interceptors, validated', async () => {
    class Doubling implements NestInterceptor {
      intercept(context: ExecutionContext, next: CallHandler<{ price: number }>) {
        const { body } = getMessage(context) as MessageOf<typeof quote>;
        const doubled = next.handle().pipe(map(({ price }) => ({ price: 2 * price })));
        return body.sku === 'wrong' ? of({ price: 'none' }) : doubled;
      }
    }
    @UseInterceptors(Doubling)
    @Responder(quote)
    class Quotes {
      async handle({ body }: MessageOf<typeof quote>): Promise<AnswerOf<typeof quote>> {
        return { price: body.sku.length };
      }
    }
    const { broker } = await startApplication({ imports, providers: [Quotes] });
    await expect(broker.request(quote, { sku: 'A1' })).resolves.toEqual({ price: 4 });
    await expect(broker.request(quote, { sku: 'wrong' })).rejects.toMatchObject({
      remoteCode: 'INVALID_BODY',
    });
  });

  it('acknowledges when an interceptor completes without a value', async () => {
    @UseInterceptors({ intercept: () => EMPTY })
    @Consumer(emails)
    class Skipped {
      handle() {}
    }
    const { broker } = await startApplication({ imports, providers: [Skipped] });
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    expect(broker.handled(emails)).toMatchObject([{ outcome: 'acked' }]);
  });

  it('has an async store of its own for each message, at any concurrency', async () => {
    const storage = new AsyncLocalStorage<string>();
    // Node 20 follows promises only from the first use on.
    storage.run('', () => undefined);
    const seen: string[][] = [];
    const guard: CanActivate = {
      canActivate(context) {
        const { body } = getMessage(context) as MessageOf<typeof emails>;
        seen.push(['before', String(storage.getStore())]);
        storage.enterWith(`guard of ${body.to}`);
        return true;
      },
    };
    class Storing implements NestInterceptor {
      intercept(context: ExecutionContext, next: CallHandler) {
        const { body } = getMessage(context) as MessageOf<typeof emails>;
        if (body.to.startsWith('run')) return storage.run(body.to, () => next.handle());
        storage.enterWith(body.to);
        return next.handle();
      }
    }
    @UseGuards(guard)
    @UseInterceptors(new Storing())
    @Consumer(emails, { concurrency: 5 })
    class Reader {
      async handle({ body }: MessageOf<typeof emails>) {
        const first = storage.getStore();
        await new Promise((resolve) => setTimeout(resolve, 5));
        seen.push([body.to, String(first), String(storage.getStore())]);
      }
    }
    const { broker } = await startApplication({ imports, providers: [Reader] });
    const names = ['run 1', 'enter 2', 'run 3', 'enter 4', 'enter 5', 'run 6'];
    await Promise.all(names.map((to) => broker.producer(emails).send({ to })));
    await broker.settled();
    expect(seen.filter(([what]) => what === 'before')).toEqual(Array(6).fill(['before', 'undefined']));
    const handledStores = seen.filter(([what]) => what !== 'before');
    expect(handledStores.sort()).toEqual(names.map((name) => [name, name, name]).sort());
  });
});

describe('what is global in the application', () => {
  const globals = [
    { provide: APP_GUARD, useValue: { canActivate: () => false } },
    { provide: APP_INTERCEPTOR, useClass: Interceptor },
    { provide: APP_PIPE, useClass: Pipe },
    { provide: APP_FILTER, useClass: Filter },
  ];

  @Consumer(emails)
  class Plain {
    constructor(private readonly log: Log) {}

    handle({ body }: MessageOf<typeof emails>) {
      this.log.lines.push(`handle: ${body.to}`);
    }
  }

  it('does not stand around a handler', async () => {
    const { app, broker } = await startApplication({ imports, providers: [Plain, Log, ...globals] });
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    expect(app.get(Log).lines).toEqual(['handle: ada']);
  });

  it('does with inheritAppConfig, request-scoped or not', async () => {
    const inheriting = LeveretModule.forRoot({ url: 'memory:', inheritAppConfig: true });
    @Injectable({ scope: 2 })
    class ScopedInterceptor extends Interceptor {}
    const scoped = { provide: APP_INTERCEPTOR, useClass: ScopedInterceptor };
    const app = await createApplication({
      imports: [inheriting],
      providers: [Plain, Log, ...globals.slice(1), scoped],
    });
    app.useGlobalInterceptors({ intercept: (_context, next) => next.handle().pipe(map(() => 'mapped')) });
    await app.init();
    const { Broker } = await import('leveret');
    await app.get(Broker).producer(emails).send({ to: 'ada' });
    const { lines } = app.get(Log);
    await expect.poll(() => lines).toHaveLength(6);
    expect(lines).toEqual([
      'interceptor: before 1',
      'interceptor: before 1',
      'pipe: custom',
      'handle: ADA',
      'interceptor: after undefined',
      'interceptor: after mapped',
    ]);
  });
});

it('tells no message to what works for another kind of context', async () => {
  const http = { getType: () => 'http', getArgByIndex: () => 'a request' } as unknown as ArgumentsHost;
  expect(getMessage(http)).toBeUndefined();
});
