import { Broker, queue } from 'leveret';
import { Consumer, LeveretHealthIndicator, LeveretModule } from 'leveret/nestjs';
import { expect, expectTypeOf, it } from 'vitest';
import { z } from 'zod';
import { createApplication, startApplication } from './support/application.js';

const emails = queue('emails', z.object({ to: z.string() }));

@Consumer(emails)
class Mailer {
  handle() {}
}

it('is ready while every broker has a connection, and alive also when RabbitMQ is away', async () => {
  const imports = [
    LeveretModule.forRoot({ url: 'memory:' }),
    LeveretModule.forRoot({ url: 'memory:', broker: 'b' }),
  ];
  const { app, broker } = await startApplication({ imports, providers: [Mailer] });
  const health = app.get(LeveretHealthIndicator);
  const up = await health.isReady();
  expect(up).toEqual({ leveret: { status: 'up', brokers: { default: 'up', b: 'up' } } });
  expectTypeOf(up).toHaveProperty('leveret');
  await broker.disconnect({ for: '1h' });
  const down = await health.isReady('messages');
  expect(down).toEqual({ messages: { status: 'down', brokers: { default: 'down', b: 'up' } } });
  expectTypeOf(down).toHaveProperty('messages');
  expect(await health.isAlive()).toEqual({ leveret: { status: 'up' } });
  await app.close();
  expect(await health.isReady()).toMatchObject({ leveret: { status: 'down' } });
});

it('is not alive when a consumer has ended for good', async () => {
  const url = 'memory://that-differs';
  await using other = await Broker.connect(url);
  await other.declare(queue('emails', z.string(), { maxLength: 5 }));
  const imports = [LeveretModule.forRoot({ url, wait: false }), LeveretModule.forFeature([emails])];
  const app = await createApplication({ imports, providers: [Mailer] });
  await app.init();
  const health = app.get(LeveretHealthIndicator);
  await expect
    .poll(() => health.isAlive('life'))
    .toMatchObject({
      life: { status: 'down', message: expect.stringMatching(/Mailer: .*x-max-length/) },
    });
  expect(await health.isReady()).toMatchObject({
    leveret: { brokers: { default: expect.stringMatching(/up|degraded/) } },
  });
});
