import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { Broker } from 'leveret';
import { TestBroker } from 'leveret/testing';
import { onTestFinished } from 'vitest';

/** An application of these modules and providers, as they are. It is closed after the test. */
export async function createApplication(metadata: ModuleMetadata): Promise<INestApplication> {
  const module = await Test.createTestingModule(metadata).compile();
  const app = module.createNestApplication();
  closeAfterTest(app);
  return app;
}

/** The same on a broker for tests in the place of the default one, and started. */
export async function startApplication(
  metadata: ModuleMetadata,
): Promise<{ readonly app: INestApplication; readonly broker: TestBroker }> {
  const broker = await TestBroker.start();
  const builder = Test.createTestingModule(metadata).overrideProvider(Broker).useValue(broker);
  const app = (await builder.compile()).createNestApplication();
  closeAfterTest(app);
  await app.init();
  return { app, broker };
}

function closeAfterTest(app: INestApplication): void {
  let isClosed = false;
  const close = app.close;
  app.close = async () => {
    isClosed = true;
    await close.call(app);
  };
  onTestFinished(async () => {
    // Nest calls all hooks again when it closes again, and 11 rejects where the start has failed.
    if (!isClosed) await app.close().catch(() => undefined);
  });
}
