/** Small JSON tasks, not large payloads: a body over the limit is refused before it is sent; send where to find it. */
import { randomBytes, randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broker, MessageTooLargeError, queue } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';

const url = process.env.RABBITMQ_URL ?? 'memory://examples';

const scansInside = queue('example.scans-inside', z.object({ title: z.string(), image: z.base64() }));
const scans = queue('example.scans', z.object({ title: z.string(), path: z.string() }));

await using _queues = await freshQueues(url, scansInside, scans);
await using broker = await Broker.connect(url);
const scan = randomBytes(3 * 1024 * 1024);

try {
  await broker.producer(scansInside).send({ title: 'contract.tif', image: scan.toString('base64') });
} catch (error) {
  if (!(error instanceof MessageTooLargeError)) throw error;
  console.log(`${error.name} (${error.code}): ${error.message}`);
  console.log(`  ${error.sizeBytes} bytes, ${error.limitBytes} are allowed; nothing was sent`);
}

// Store the data where both sides reach it (here a folder, elsewhere an object store), and send a small task.
const folder = await mkdtemp(join(tmpdir(), 'leveret-example-'));
const path = join(folder, randomUUID());
await writeFile(path, scan);
await broker.producer(scans).send({ title: 'contract.tif', path });

for await (const message of broker.consumer(scans)) {
  const bytes = await readFile(message.body.path);
  console.log(`A task of ${message.raw.length} bytes led to ${message.body.title}: ${bytes.length} bytes`);
  console.log(`  the same as before: ${bytes.equals(scan) ? 'yes' : 'no'}`);
  message.ack();
  break;
}
await rm(folder, { recursive: true });
