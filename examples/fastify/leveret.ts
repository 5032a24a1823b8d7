import type { FastifyInstance } from 'fastify';
import type { Broker } from 'leveret';

declare module 'fastify' {
  interface FastifyInstance {
    readonly leveret: Broker;
  }
}

/**
 * A plugin that gives a Fastify server a broker, as `fastify.leveret`: connected before the server is ready, closed with it.
 *
 * Fastify calls `onClose` after it has answered the requests in flight, so these may still send. Consumers begin in `onReady`,
 * when everything is in place, and end in `preClose`, before anything else does.
 */
export async function leveret(
  fastify: FastifyInstance,
  options: { readonly broker: Broker; readonly consume?: (broker: Broker) => readonly Consuming[] },
): Promise<void> {
  const { broker, consume } = options;
  let running: readonly Consuming[] = [];
  fastify.decorate('leveret', broker);
  await broker.connect();
  fastify.addHook('onReady', async () => {
    running = consume?.(broker) ?? [];
    await Promise.all(running.map(({ ready }) => ready));
  });
  fastify.addHook('preClose', async () => {
    await Promise.all(running.map((it) => it.close()));
  });
  fastify.addHook('onClose', async () => {
    await broker.close();
  });
}

/** A consumer or a responder. */
interface Consuming {
  readonly ready: Promise<void>;
  close(): Promise<unknown>;
}

// Without a scope of its own: what it decorates is there for the whole server. `fastify-plugin` sets the same mark.
Object.assign(leveret, { [Symbol.for('skip-override')]: true });
