import { Broker } from 'leveret';
import { createApp } from './app.js';

const app = await createApp(new Broker(process.env.RABBITMQ_URL ?? 'memory:', { name: 'shop' }));
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void app.close());

const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) });
console.log(`
Try it:
  curl ${url}/quotes/A12
  curl -H 'content-type: application/json' -d '{"to":"ada@example.com","subject":"Hello"}' ${url}/emails
  curl ${url}/health/ready
`);
