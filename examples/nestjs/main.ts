import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule);
// SIGTERM and SIGINT close the application, handlers first; then the process ends with exit code 0.
app.enableShutdownHooks(['SIGTERM', 'SIGINT'], { useProcessExit: true });
await app.listen(process.env.PORT ?? 3000, '127.0.0.1');

const url = await app.getUrl();
console.log(`
Try it:
  curl ${url}/quotes/A12
  curl -H 'content-type: application/json' -d '{"id":"1","email":"ada@example.com","total":12}' ${url}/orders
  curl ${url}/health/ready
`);
