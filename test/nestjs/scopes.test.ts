import { type CanActivate, Inject, Injectable, Scope, UseFilters, UseGuards } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { procedure, queue } from 'leveret';
import { type AnswerOf, Consumer, LeveretModule, type MessageOf, Responder } from 'leveret/nestjs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { startApplication } from './support/application.js';

const emails = queue('emails', z.object({ to: z.string() }), {
  retry: { attempts: 2, initialDelayMs: 1_000 },
});
const quote = procedure('quote', {
  request: z.object({ sku: z.string() }),
  response: z.object({ price: z.number() }),
});
const imports = [LeveretModule.forRoot({ url: 'memory:' })];

@Injectable()
class Log {
  readonly lines: string[] = [];
}

@Injectable({ scope: Scope.REQUEST })
class Unit {
  constructor(
    @Inject(REQUEST) readonly message: MessageOf<typeof emails>,
    readonly log: Log,
  ) {
    log.lines.push(`unit for ${message.body.to}, ${message.attempt}`);
    if (message.body.to === 'no unit') throw new Error('no unit today');
  }
}

describe('a handler with a scope', () => {
  it('is made anew for each run, retries included', async () => {
    @Consumer(emails, { scope: Scope.REQUEST, concurrency: 3 })
    class Mailer {
      constructor(
        readonly unit: Unit,
        readonly log: Log,
      ) {
        log.lines.push('mailer');
      }

      async handle(message: MessageOf<typeof emails>) {
        if (this.unit.message !== message) throw new Error('another message');
        if (message.attempt === 1) throw new Error('again');
      }
    }
    const { app, broker } = await startApplication({ imports, providers: [Mailer, Unit, Log] });
    expect(app.get(Log).lines).toEqual([]);
    await broker.producer(emails).send({ to: 'ada' });
    await broker.advance('10s');
    expect(app.get(Log).lines).toEqual(['unit for ada, 1', 'mailer', 'unit for ada, 2', 'mailer']);
    expect(broker.handled(emails)).toMatchObject([
      { outcome: 'retried', error: { message: 'again' } },
      { outcome: 'acked' },
    ]);
  });

  it('has it from what it, or its guard, depends on', async () => {
    @Injectable()
    class UnitGuard implements CanActivate {
      constructor(readonly unit: Unit) {}

      canActivate() {
        return this.unit.message.body.to !== 'refused';
      }
    }
    @UseGuards(UnitGuard)
    @Consumer(emails)
    class Mailer {
      constructor(readonly log: Log) {}

      async handle({ body }: MessageOf<typeof emails>) {
        this.log.lines.push(`handle ${body.to}`);
      }
    }
    const { app, broker } = await startApplication({ imports, providers: [Mailer, Unit, Log] });
    await broker.producer(emails).send({ to: 'ada' });
    await broker.producer(emails).send({ to: 'refused' });
    await broker.settled();
    expect(app.get(Log).lines).toEqual(['unit for ada, 1', 'handle ada', 'unit for refused, 1']);
    expect(broker.handled(emails)).toMatchObject([
      { outcome: 'acked' },
      { error: { name: 'ForbiddenException' } },
    ]);
  });

  it('leaves a provider that cannot be made to the failure policy, and to no filter', async () => {
    @UseFilters({ catch: () => undefined })
    @Consumer(emails)
    class Mailer {
      constructor(readonly unit: Unit) {}

      handle() {}
    }
    const { broker } = await startApplication({ imports, providers: [Mailer, Unit, Log] });
    await broker.producer(emails).send({ to: 'no unit' });
    await broker.advance('1m');
    expect(broker.deadLettered(emails)).toMatchObject([{ error: { message: 'no unit today' } }]);
  });

  it('may be transient, and so may its guard', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class TransientGuard implements CanActivate {
      constructor(readonly log: Log) {}

      canActivate() {
        this.log.lines.push('guard');
        return true;
      }
    }
    @UseGuards(TransientGuard)
    @Consumer(emails, { scope: Scope.TRANSIENT })
    class Mailer {
      constructor(readonly log: Log) {}

      handle({ body }: MessageOf<typeof emails>) {
        this.log.lines.push(`handle ${body.to}`);
      }
    }
    @UseGuards(TransientGuard)
    @Responder(quote)
    class Quotes {
      constructor(readonly log: Log) {}

      handle({ body }: MessageOf<typeof quote>): AnswerOf<typeof quote> {
        return { price: this.log.lines.length + body.sku.length };
      }
    }
    const { app, broker } = await startApplication({ imports, providers: [Mailer, Quotes, Log] });
    await broker.producer(emails).send({ to: 'ada' });
    await broker.settled();
    expect(app.get(Log).lines).toEqual(['guard', 'handle ada']);
    await expect(broker.request(quote, { sku: 'A1' })).resolves.toEqual({ price: 5 });
  });
});
