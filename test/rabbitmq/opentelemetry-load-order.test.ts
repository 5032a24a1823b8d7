import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createVhost } from '../helpers/server/index.js';

const run = promisify(execFile);

type Format = 'esm' | 'cjs';
type Order = 'first' | 'last';

let folder: string;

/** Leveret as a package has it: in the tests' own process, vitest loads modules, which no instrumentation sees. */
beforeAll(async () => {
  await mkdir('node_modules/.cache', { recursive: true });
  folder = await mkdtemp('node_modules/.cache/leveret-load-order-');
  for (const format of ['esm', 'cjs'] as const) {
    await build({
      entryPoints: { index: 'src/index.ts', opentelemetry: 'src/opentelemetry/index.ts' },
      outdir: join(folder, format),
      outExtension: { '.js': format === 'esm' ? '.mjs' : '.cjs' },
      bundle: true,
      format,
      platform: 'node',
      target: 'node20',
      external: ['amqplib', '@opentelemetry/api'],
      logLevel: 'warning',
    });
  }
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** Loads a module as a program of that format does. */
const load = (format: Format, name: string) =>
  format === 'esm' ? `await import('${name}')` : `require('${name}')`;

/**
 * A program that sends and handles with Leveret, with frames of its own and with those of amqplib, publishes with amqplib, and
 * prints the names of all spans.
 */
function program(format: Format, order: Order): string {
  const extension = format === 'esm' ? 'mjs' : 'cjs';
  const instrument = `
    const amqplibInstrumentation = new AmqplibInstrumentation();
    amqplibInstrumentation.setTracerProvider(tracers);`;
  const leveret = `
    const { Broker, queue } = ${load(format, `./${format}/index.${extension}`)};
    const { LeveretInstrumentation } = ${load(format, `./${format}/opentelemetry.${extension}`)};`;
  const body = `
    const { AmqplibInstrumentation } = ${load(format, '@opentelemetry/instrumentation-amqplib')};
    const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } =
      ${load(format, '@opentelemetry/sdk-trace-base')};
    const exporter = new InMemorySpanExporter();
    const tracers = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
    ${order === 'first' ? instrument + leveret : leveret + instrument}
    const schema = { '~standard': { version: 1, vendor: 'x', validate: (value) => ({ value }) } };
    const jobs = queue('jobs', schema);

    async function work() {
      const broker = await Broker.connect(process.env.RABBITMQ_URL);
      const handled = new Promise((resolve) => broker.consumer(jobs, resolve));
      await broker.producer(jobs).send({ n: 1 });
      await handled;
      await broker.close();
      const names = exporter.getFinishedSpans().map(({ name }) => name).sort();
      exporter.reset();
      return names;
    }

    const instrumentation = new LeveretInstrumentation({ enabled: false });
    instrumentation.setTracerProvider(tracers);
    const spans = [await work()];
    instrumentation.enable();
    spans.push(await work());
    process.env.LEVERET_AMQPLIB_FRAMES = '1';
    spans.push(await work());
    instrumentation.disable();
    spans.push(await work());

    const { connect } = ${load(format, 'amqplib')};
    const connection = await connect(process.env.RABBITMQ_URL);
    const channel = await connection.createChannel();
    await channel.assertQueue('other');
    channel.sendToQueue('other', Buffer.from('1'));
    await connection.close();
    const other = exporter.getFinishedSpans().map(({ name }) => name.split(' ')[0]);
    console.log(JSON.stringify({ spans, other }));`;
  const hook = `
    import { register } from 'node:module';
    register('@opentelemetry/instrumentation/hook.mjs', import.meta.url);`;
  return format === 'esm' ? hook + body : `void (async () => {${body}})();`;
}

const SPANS = ['ack jobs', 'process jobs', 'send jobs'];

describe("beside the real instrumentation of amqplib, loaded as an application's modules are", () => {
  it.each([
    ['esm', 'first'],
    ['esm', 'last'],
    ['cjs', 'first'],
    ['cjs', 'last'],
  ] as const)('each span is made once: %s, that instrumentation loaded %s', async (format, order) => {
    await using vhost = await createVhost();
    const file = join(folder, `${format}-${order}.${format === 'esm' ? 'mjs' : 'cjs'}`);
    await writeFile(file, program(format, order));
    const { stdout } = await run(process.execPath, [file], {
      env: { ...process.env, NODE_OPTIONS: '', RABBITMQ_URL: vhost.url },
      timeout: 30_000,
    });
    expect(JSON.parse(stdout)).toEqual({
      spans: [[], SPANS, SPANS, []],
      // What that instrumentation cannot do itself: amqplib is loaded, so its prototypes are not patched any more.
      other: order === 'first' ? ['publish'] : [],
    });
  });
});
