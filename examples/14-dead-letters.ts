/** Dead letters: what failed and why; then the schema and the handler are mended, and the letters are put back. */
import { Broker, DeadLetter, type Message, queue, type ReplayResult } from 'leveret';
import { z } from 'zod';
import { freshQueues } from './support/fresh-queues.js';
import { until } from './support/until.js';

/** As it was deployed: every customer has a country, it was thought. */
const Signup = z.object({ email: z.email(), country: z.string().length(2) });
const signups = queue('example.signups', Signup, { retry: { attempts: 2, initialDelayMs: 50 } });

/** What the sign-up page of an older release still sends. */
const oldPage = queue(signups.name, z.looseObject({ email: z.string() }), { declare: false });

const url = process.env.RABBITMQ_URL ?? 'memory://examples';
await using _queues = await freshQueues(url, signups);
await using broker = await Broker.connect(url, { name: 'sign-ups' });
// Failures are wanted here. Without a listener or a logger, the process would warn of the first one.
broker.on('handler-error', () => {});
broker.on('invalid-message', () => {});

const VAT: Readonly<Record<string, number>> = { DE: 19, FR: 20 };
const banned = new Set(['mallory@example.com']);

const show = ({ replayed, invalid, skipped }: ReplayResult) =>
  `${replayed} put back, ${invalid} do not fit the schema, ${skipped} left out`;

console.log('Five people sign up:');
const worker = broker.consumer(signups, ({ body }) => {
  if (banned.has(body.email)) throw new DeadLetter('this address is banned');
  const rate = VAT[body.country];
  // The bug: a forgotten country.
  if (rate === undefined) throw new TypeError(`no VAT rate for ${body.country}`);
  console.log(`  ${body.email}: welcome, VAT ${rate} %`);
});
await worker.ready;
await broker
  .producer(oldPage)
  .sendAll([
    { email: 'ada@example.com', country: 'DE' },
    { email: 'grace@example.com', country: 'US' },
    { email: 'linus@example.com' },
    { email: 'margaret@example.com' },
    { email: 'mallory@example.com', country: 'FR' },
  ]);
const letters = broker.deadLetters(signups);
await until(async () => (await broker.stats(`${signups.name}.dead`)).messages === 4);
await worker.close();

console.log('Dead letters:');
const list = await letters.list();
for (const { body, error, issues = [], attempt } of list.toSorted((a, b) =>
  a.body.email < b.body.email ? -1 : 1,
)) {
  const why = issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join(', ') || error.message;
  console.log(`  ${body.email}: ${error.code} at attempt ${attempt}: ${why}`);
}

// Nothing is put back that could only fail the same way: the schema is asked first.
console.log('A replay with nothing mended:');
console.log(`  ${show(await letters.replay({ filter: ({ error }) => error.code === 'INVALID_BODY' }))}`);

/** The mended release: no country means Germany, and the rest of the world pays no VAT. */
const mended = queue(signups.name, Signup.extend({ country: Signup.shape.country.default('DE') }), {
  retry: { attempts: 2, initialDelayMs: 50 },
});
let welcomed = 0;
const mendedWorker = broker.consumer(mended, ({ body, attempt }: Message<z.output<typeof Signup>>) => {
  console.log(`  ${body.email}: welcome, VAT ${VAT[body.country] ?? 0} %, attempt ${attempt}`);
  welcomed++;
});
await mendedWorker.ready;

console.log('A replay after the schema and the handler were mended:');
const result = await broker.deadLetters(mended).replay({
  filter: ({ error }) => error.code !== 'DeadLetter',
  ratePerSecond: 20,
  onProgress: ({ done, total }) => console.log(`  ${done} of ${total}`),
});
await until(() => welcomed === 3);
console.log(`  ${show(result)}`);

console.log(`The rest is thrown away: ${await letters.purge()} dead letter.`);
