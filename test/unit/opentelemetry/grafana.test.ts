import { readFileSync } from 'node:fs';
import { PrometheusSerializer } from '@opentelemetry/exporter-prometheus';
import { procedure, queue } from 'leveret';
import { TestBroker } from 'leveret/testing';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { Telemetry } from './telemetry.js';

interface Dashboard {
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] };
  readonly panels: readonly {
    readonly title: string;
    readonly datasource: { readonly uid: string };
    readonly targets: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
  }[];
}

const dashboard = JSON.parse(
  readFileSync(new URL('../../../grafana.json', import.meta.url), 'utf8'),
) as Dashboard;

/** What the Prometheus exporter prints after one of everything: the names of metrics, and of their labels. */
async function printed(): Promise<{
  readonly names: ReadonlySet<string>;
  readonly labels: ReadonlySet<string>;
}> {
  await using telemetry = new Telemetry();
  const broker = await TestBroker.start();
  const body = z.object({ n: z.number() });
  const jobs = queue('jobs', body, { retry: false });
  broker.consumer(jobs, () => Promise.reject(new Error('no')));
  await broker.producer(jobs).send({ n: 1 });
  await broker.settled();
  await broker.request(procedure('unanswered', { request: body, response: body }), { n: 1 }).catch(() => {});
  await broker.close();
  const { resourceMetrics } = await telemetry.reader.collect();
  const text = new PrometheusSerializer().serialize(resourceMetrics);
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return {
    names: new Set(lines.map((line) => line.split(/[{ ]/)[0] ?? '')),
    labels: new Set([...text.matchAll(/[{,](\w+)="/g)].map(([, label = '']) => label)),
  };
}

const metricsIn = (expression: string) => expression.match(/\bmessaging_(?:client|process)_\w+/g) ?? [];

it('asks Prometheus for what the exporter prints', async () => {
  const { names, labels } = await printed();
  const expressions = dashboard.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
  const asked = new Set(expressions.flatMap(metricsIn));
  // The exporter of OpenTelemetry JS prints no unit; every other way to Prometheus does.
  const withUnits = [...names].map((name) => name.replace(/_duration_/, '_duration_seconds_'));
  const known = new Set([...names, ...withUnits]);
  expect([...asked].filter((name) => !known.has(name))).toEqual([]);
  for (const expression of expressions) {
    expect(
      metricsIn(expression).some((name) => names.has(name)),
      expression,
    ).toBe(true);
  }
  expect(asked.size).toBeGreaterThanOrEqual(5);
  const used = expressions.flatMap((expression) => [
    ...[...expression.matchAll(/(\w+)(?:=~|!=|=)"/g)].map(([, label = '']) => label),
    ...[...expression.matchAll(/by \(([^)]*)\)/g)].flatMap(([, list = '']) => list.split(', ')),
  ]);
  expect([...new Set(used)].filter((label) => !labels.has(label))).toEqual([]);
});

it('is bound to no installation: the data source and the queue are variables', () => {
  expect(dashboard.templating.list.map(({ name }) => name)).toEqual(['datasource', 'queue']);
  const sources = dashboard.panels.flatMap(({ datasource, targets }) => [
    datasource.uid,
    ...targets.map((target) => target.datasource.uid),
  ]);
  const address = `$\{datasource}`;
  expect(new Set(sources)).toEqual(new Set([address]));
  for (const { targets } of dashboard.panels) {
    for (const { expr } of targets) expect(expr).toContain('messaging_destination_name=~"$queue"');
  }
});
