import Fastify, { type FastifyInstance } from 'fastify';
import { type Broker, ValidationError } from 'leveret';
import { emails, quote } from './contracts.js';
import { leveret } from './leveret.js';

/** The server, on a broker that the caller has made: that of a test, or one for RabbitMQ. */
export async function createApp(broker: Broker): Promise<FastifyInstance> {
  const app = Fastify({ logger: true });
  await app.register(leveret, {
    broker,
    consume: (it) => [
      it.consumer(emails, async ({ body }) => app.log.info(`to ${body.to}: ${body.subject}`), {
        concurrency: 10,
      }),
      it.responder(quote, async ({ body }) => ({ price: 10 * body.sku.length })),
    ],
  });
  const outgoing = app.leveret.producer(emails);

  app.post<{ Body: { to: string; subject: string } }>('/emails', async (request, reply) => {
    const { messageId } = await outgoing.send(request.body);
    return await reply.code(202).send({ messageId });
  });

  app.get<{ Params: { sku: string } }>('/quotes/:sku', async ({ params }) => {
    return await app.leveret.request(quote, { sku: params.sku }, { timeoutMs: 5_000 });
  });

  app.get('/health/ready', async (_request, reply) => {
    const { status } = app.leveret.health();
    return await reply.code(status === 'down' ? 503 : 200).send({ status });
  });

  app.setErrorHandler(async (error, _request, reply) => {
    // The contract has checked the body, before anything was sent.
    if (error instanceof ValidationError) return await reply.code(400).send({ issues: error.issues });
    return await reply.send(error);
  });

  return app;
}
