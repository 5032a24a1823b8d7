import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { trace } from '@opentelemetry/api';
import { AmqplibInstrumentation } from '@opentelemetry/instrumentation-amqplib';
import { Broker, procedure, queue } from 'leveret';
import { afterEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createVhost } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';
import { Recorder } from '../unit/diagnostics/recorder.js';
import { Telemetry } from '../unit/opentelemetry/telemetry.js';

const body = z.object({ n: z.number() });
const jobs = queue('jobs', body, { retry: { attempts: 2, initialDelayMs: 100, jitter: false } });
const double = procedure('double', { request: body, response: body });

const require = createRequire(import.meta.url);
/** A path: the package exports no such file. */
const CHANNEL_MODEL = fileURLToPath(
  new URL('../../node_modules/amqplib/lib/channel_model.js', import.meta.url),
);

/** What the instrumentation does to amqplib when that is loaded: here it is loaded already. */
interface Patches {
  patchChannelModel(module: unknown, version: string): void;
  unpatchChannelModel(module: unknown): void;
}

let undo: (() => void) | undefined;

function instrumentAmqplib(telemetry: Telemetry): void {
  const amqplib = new AmqplibInstrumentation();
  amqplib.setTracerProvider(telemetry.tracers);
  const patches = amqplib as unknown as Patches;
  const model: unknown = require(CHANNEL_MODEL);
  patches.patchChannelModel(model, '2.3.1');
  undo = () => patches.unpatchChannelModel(model);
}

afterEach(() => {
  undo?.();
  undo = undefined;
  delete process.env.LEVERET_AMQPLIB_FRAMES;
});

/** A message that fails once, and a request. */
async function work(url: string, names: string[]): Promise<void> {
  await using broker = await Broker.connect(url);
  await broker.consumer(jobs, ({ attempt }) => {
    names.push(trace.getActiveSpan()?.spanContext().traceId ?? 'none');
    if (attempt === 1) throw new Error('not yet');
  }).ready;
  await broker.responder(double, ({ body: { n } }) => ({ n: n * 2 })).ready;
  await broker.producer(jobs).send({ n: 1 });
  await broker.request(double, { n: 1 });
  await expect.poll(() => names.length).toBe(2);
}

const LEVERETS = [
  ...['ack double', 'ack jobs', 'process double', 'process jobs', 'process jobs'],
  ...['request double', 'retry jobs', 'send jobs'],
];

describe('OpenTelemetry on a server', () => {
  it.each([
    ['frames of our own', undefined],
    ["amqplib's own frames", '1'],
  ])('makes no span twice beside the instrumentation of amqplib, with %s', async (_how, frames) => {
    if (frames) process.env.LEVERET_AMQPLIB_FRAMES = frames;
    await using vhost = await createVhost();
    await using telemetry = new Telemetry();
    instrumentAmqplib(telemetry);
    const traces: string[] = [];
    await work(vhost.url, traces);
    expect(telemetry.spans.map(({ name }) => name).toSorted()).toEqual(LEVERETS);
    const [send] = telemetry.named('send jobs');
    expect(traces).toEqual([send?.traceId, send?.traceId]);
    expect(send?.attributes).toMatchObject({
      'server.address': '127.0.0.1',
      'server.port': expect.any(Number),
    });
    telemetry.exporter.reset();
    telemetry.instrumentation.disable();
    await work(vhost.url, []);
    expect(telemetry.spans).toEqual([]);
  });

  it('leaves the spans of other users of amqplib to them', async () => {
    await using vhost = await createVhost();
    await using telemetry = new Telemetry();
    instrumentAmqplib(telemetry);
    const { connect } = require('amqplib') as typeof import('amqplib');
    const connection = await connect(vhost.url);
    const channel = await connection.createChannel();
    await channel.assertQueue('jobs', { arguments: { ...jobs.arguments } });
    channel.sendToQueue('jobs', Buffer.from('{"n":1}'), { contentType: 'application/json' });
    await using broker = await Broker.connect(vhost.url);
    broker.consumer(jobs, () => {});
    await expect.poll(() => telemetry.named('process jobs').length).toBe(1);
    const [published] = telemetry.spans;
    expect(published?.name).toMatch(/^publish/);
    expect(telemetry.only('process jobs').parentId).toBe(published?.spanId);
    await connection.close();
  });

  it('keeps the rules of tracing channels over a lost connection', async () => {
    await using vhost = await createVhost();
    await using proxy = await TcpProxy.listen(vhost.url);
    using recorder = new Recorder();
    const broker = await Broker.connect(proxy.via(vhost.url), { name: 'tested' });
    let runs = 0;
    await broker.consumer(jobs, async ({ signal }) => {
      runs++;
      if (runs > 1) return;
      proxy.cutAll();
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
    }).ready;
    await broker.producer(jobs).send({ n: 1 });
    await expect.poll(() => recorder.begun('settle').some(({ result }) => result === true)).toBe(true);
    await broker.close();
    expect(recorder.complaints()).toEqual([]);
    expect(recorder.begun('process')[0]).toMatchObject({ error: { code: 'CLOSED' }, broker: 'tested' });
    expect(recorder.begun('connect').some(({ reconnect }) => reconnect === true)).toBe(true);
  });
});
