import { exchange, queue } from 'leveret';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { checks } from '../../../src/cli/doctor/checks.js';
import { type IdentifiedDraft, writeFixes } from '../../../src/cli/doctor/fixes.js';
import { after, noOperations } from '../../../src/cli/doctor/operations.js';
import type { Policy, Topology } from '../../../src/cli/doctor/server-state.js';
import type { Survey } from '../../../src/cli/doctor/survey.js';
import { type TopologyStep, topologyOf } from '../../../src/contracts/topology.js';
import { LEVELS } from '../../../src/delay/levels.js';
import { commonSteps, delayQueueSteps, targetStep } from '../../../src/delay/topology.js';

/** A virtual host with all that the steps declare. */
function declared(steps: readonly TopologyStep[], policies: readonly Policy[] = []): Topology {
  const operations = noOperations();
  for (const step of steps) {
    if (step.kind === 'queue') operations.queues.set(step.queue.name, step.queue);
    if (step.kind === 'exchange') operations.exchanges.set(step.exchange.name, step.exchange);
    if (step.kind === 'binding') operations.bindings.push(step.binding);
  }
  return after({ queues: new Map(), exchanges: new Map(), bindings: [], policies }, operations);
}

function queueStep(name: string, args: Record<string, unknown> = {}): TopologyStep {
  return {
    kind: 'queue',
    queue: { name, durable: true, exclusive: false, autoDelete: false, arguments: args },
  };
}

function surveyOf(
  topology: Topology,
  {
    version = '4.3.1',
    ...server
  }: { version?: string; hostname?: string; heartbeatSeconds?: number; contracts?: Survey['contracts'] } = {},
): Survey {
  return {
    where: {
      url: '',
      label: 'amqp://localhost:5672',
      secure: false,
      hostname: server.hostname ?? 'localhost',
      port: 5672,
      username: 'guest',
      password: 'guest',
      vhost: '/',
      management: { base: '', username: '', password: '' },
    },
    greeting: { version, heartbeatSeconds: server.heartbeatSeconds ?? 60, vhost: { status: 'open' } },
    hasManagement: true,
    topology: { value: topology },
    permissions: { value: { configure: '.*', write: '.*', read: '.*' } },
    alarms: { value: [] },
    contracts: server.contracts ?? [],
    handlerTimeoutMs: 1_200_000,
  };
}

function examine(survey: Survey): IdentifiedDraft[] {
  return checks.flatMap(({ id, run }) => {
    const found = run(survey);
    return 'skipped' in found ? [] : found.map((draft) => ({ ...draft, id }));
  });
}

const idsOf = (topology: Topology, options?: Parameters<typeof surveyOf>[1]) =>
  examine(surveyOf(topology, options)).map(({ id, subject }) => `${id} ${subject}`);

function fixesOf(topology: Topology, { version = '4.3.1', isIdle = true } = {}) {
  const survey = surveyOf(topology, { version });
  return writeFixes(examine(survey), {
    topology,
    vhost: '/',
    version,
    examine: (value) => examine({ ...survey, topology: { value } }),
    isIdle: async () => isIdle,
  });
}

const quorum = { 'x-queue-type': 'quorum' };

describe('the checks of the doctor', () => {
  it.each(['3.10.8', '4.0.5', '4.3.1'])(
    'find nothing in all that Leveret declares by default: %s',
    (version) => {
      const emails = queue('emails', z.string());
      const orders = exchange('orders', z.string());
      const contracts = [
        emails,
        orders,
        orders.queue('billing', '#'),
        queue('jobs', z.string(), { type: 'classic' }),
        queue('log', z.string(), { type: 'stream' }),
      ];
      const delays = [
        ...commonSteps(LEVELS.length),
        ...LEVELS.flatMap(({ queues }, at) =>
          queues.flatMap((delayQueue) => [
            ...delayQueueSteps(at, delayQueue, 'low'),
            ...delayQueueSteps(at, delayQueue, 'high'),
          ]),
        ),
        targetStep({ kind: 'queue', name: 'emails' }),
        targetStep({ kind: 'exchange', name: 'orders' }),
      ];
      const topology = declared([...contracts.flatMap((contract) => topologyOf(contract)), ...delays]);
      expect(idsOf(topology, { version, contracts })).toEqual([]);
    },
  );

  it.each([
    ['server-version amqp://localhost:5672', { version: '3.9.29' }],
    ['tls amqp://localhost:5672', { hostname: 'rabbit.example' }],
    ['heartbeat amqp://localhost:5672', { heartbeatSeconds: 0 }],
    ['heartbeat amqp://localhost:5672', { heartbeatSeconds: 61 }],
  ])('look at the server itself: %s', (expected, options) => {
    expect(idsOf(declared([]), options)).toEqual([expected]);
  });

  it('know the delivery limit of each version', () => {
    const topology = declared([queueStep('work', quorum)]);
    expect(idsOf(topology, { version: '3.13.7' })).toEqual([]);
    expect(idsOf(topology, { version: '4.0.5' })).toEqual(['no-dead-letter-target work']);
    const unlimited = declared([queueStep('work', { ...quorum, 'x-delivery-limit': -1 })]);
    expect(idsOf(unlimited)).toEqual([]);
  });

  it('take an argument for stronger than a policy where dead letters go, and the smaller one of two limits', () => {
    const policy: Policy = {
      name: 'all',
      pattern: '.*',
      priority: 0,
      applyTo: 'all',
      definition: { 'dead-letter-exchange': 'gone', 'max-length': 5 },
    };
    const topology = declared(
      [
        queueStep('work', {
          'x-dead-letter-exchange': '',
          'x-dead-letter-routing-key': 'keep',
          'x-max-length': 9,
        }),
        queueStep('keep', { 'x-queue-type': 'stream' }),
      ],
      [policy],
    );
    expect(idsOf(topology)).toEqual([]);
  });
});

describe('the lines of the doctor', () => {
  const broad: Policy = {
    name: 'broad',
    pattern: '^work',
    priority: 3,
    applyTo: 'all',
    definition: { 'delivery-limit': 7, 'max-length': 100 },
  };

  it('mend every finding of a queue by one policy, and keep what applied before', async () => {
    const findings = await fixesOf(declared([queueStep('work', quorum)], [broad]));
    expect(findings.map(({ id }) => id)).toEqual(['no-dead-letter-target', 'silent-overflow']);
    expect(new Set(findings.map(({ fix }) => fix.join('\n'))).size).toBe(1);
    expect(findings[0]?.fix[1]).toBe(
      `rabbitmqctl set_policy -p / leveret-doctor-work '^work$' '{"delivery-limit":7,"max-length":100,"dead-letter-exchange":"","dead-letter-routing-key":"work.dead"}' --priority 4 --apply-to queues`,
    );
    // The queue that they declare would fall under the same policy.
    expect(findings[0]?.fix[2]).toBe(
      `rabbitmqctl set_policy -p / leveret-doctor-work.dead '^work\\.dead$' '{"delivery-limit":1000000}' --priority 4 --apply-to queues`,
    );
    expect(findings[0]?.fix).toHaveLength(3);
  });

  it('declare a queue anew only where it is empty and unused', async () => {
    const topology = declared([
      queueStep('work', { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'work.dead' }),
      queueStep('work.dead', { 'x-message-ttl': 1_000, 'x-max-priority': 3 }),
    ]);
    const [anew] = await fixesOf(topology);
    expect(anew?.fix[0]).toBe('rabbitmqctl delete_queue -p / work.dead --if-empty --if-unused');
    expect(anew?.fix[1]).toContain('"arguments":{"x-max-priority":3}');
    const [busy] = await fixesOf(topology, { isIdle: false });
    expect(busy).toMatchObject({ fix: [], message: expect.stringContaining('holds messages') });
  });

  it('quote every name for a shell', async () => {
    const [finding] = await fixesOf(declared([queueStep("a'b $c", { 'x-max-length': 1 })]));
    expect(finding?.fix.at(-1)).toContain(`'leveret-doctor-a'\\''b $c' '^a'\\''b \\$c$'`);
    const [hidden] = await fixesOf(declared([queueStep('a\nb', { 'x-max-length': 1 })]));
    expect(hidden).toMatchObject({
      fix: [],
      message: expect.stringContaining('cannot stand in a shell line'),
    });
  });
});
