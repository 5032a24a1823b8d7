import { isDelayName } from '../../../delay/topology.js';
import type { Check, Draft, QueueChange } from '../check.js';
import { missingTargetParts } from '../dead-letter-parts.js';
import { isReached, lossesOf } from '../losses.js';
import { queuesReached } from '../routing.js';
import type { Queue, Topology } from '../server-state.js';
import { deadLetterTargetOf, deliveryLimitOf, limitOf, overflowOf } from '../settings.js';

export const noDeadLetterTarget: Check = {
  id: 'no-dead-letter-target',
  run({ topology, greeting: { version } }) {
    if ('missing' in topology) return { skipped: topology.missing };
    return [...topology.value.queues.values()].flatMap((queue): Draft[] => {
      const limit = deliveryLimitOf(queue, version);
      if (!isReached(limit) || deadLetterTargetOf(queue)) return [];
      const message = `'${queue.name}' drops a message for good when it has come back ${limit} times: it has a delivery limit and no dead-letter exchange. Give it one.`;
      return [
        { severity: 'error', subject: queue.name, message, remedy: changing(queue, { deadLetters: true }) },
      ];
    });
  },
};

export const deadLetterTargetMissing: Check = {
  id: 'dead-letter-target-missing',
  run({ topology, greeting: { version } }) {
    if ('missing' in topology) return { skipped: topology.missing };
    return [...topology.value.queues.values()].flatMap((queue): Draft[] => {
      const target = deadLetterTargetOf(queue);
      if (!target || queue.type === 'stream') return [];
      const { exchange, routingKey } = target;
      const isThere = exchange === '' || topology.value.exchanges.has(exchange);
      const reached = isThere ? queuesReached(topology.value, exchange, routingKey) : [];
      if (reached === undefined || reached.length > 0) return [];
      const why = isThere
        ? exchange === ''
          ? `there is no queue '${routingKey}'`
          : `the exchange '${exchange}' routes them to no queue`
        : `there is no exchange '${exchange}'`;
      const message = `The dead letters of '${queue.name}' are lost: ${why}. Declare what is missing.`;
      const parts = missingTargetParts(topology.value, version, queue, target);
      return [{ severity: 'error', subject: queue.name, message, remedy: changing(queue, { parts }) }];
    });
  },
};

export const deadLettersExpire: Check = {
  id: 'dead-letters-expire',
  run({ topology, greeting: { version } }) {
    if ('missing' in topology) return { skipped: topology.missing };
    const drafts: Draft[] = [];
    for (const [queue, sources] of targetsOf(topology.value)) {
      const found = lossesOf(queue, version);
      if (found.length === 0) continue;
      const from = [...sources]
        .map((name) => `'${name}'`)
        .slice(0, 3)
        .join(', ');
      const what = found.map(({ words }) => words).join(', ');
      const message = `'${queue.name}' gets the dead letters of ${from}, and does not keep them: ${what}. Declare it without, and set no such policy.`;
      drafts.push({
        severity: 'error',
        subject: queue.name,
        message,
        remedy: changing(queue, {
          arguments: Object.assign({}, ...found.map((it) => it.arguments)),
          policy: Object.assign({}, ...found.map((it) => it.policy)),
        }),
      });
    }
    return drafts;
  },
};

export const silentOverflow: Check = {
  id: 'silent-overflow',
  run({ topology }) {
    if ('missing' in topology) return { skipped: topology.missing };
    return [...topology.value.queues.values()].flatMap((queue): Draft[] => {
      // The sink of the delays exists to discard messages.
      if (queue.type === 'stream' || isDelayName(queue.name) || deadLetterTargetOf(queue)) return [];
      const limit = limitOf(queue, 'max-length') ?? limitOf(queue, 'max-length-bytes');
      if (limit === undefined || overflowOf(queue) !== 'drop-head') return [];
      const unit = limitOf(queue, 'max-length') === undefined ? 'bytes' : 'messages';
      const message = `'${queue.name}' drops its oldest messages without a trace when it holds more than ${limit} ${unit}. Give it a dead-letter exchange, or 'reject-publish'.`;
      return [
        { severity: 'error', subject: queue.name, message, remedy: changing(queue, { deadLetters: true }) },
      ];
    });
  },
};

function changing(queue: Queue, change: QueueChange) {
  return { kind: 'queue', queue, change } as const;
}

/** The queues that others dead-letter into, except those behind one of Leveret's delays: there a message has arrived. */
function targetsOf(topology: Topology): ReadonlyMap<Queue, ReadonlySet<string>> {
  const targets = new Map<Queue, Set<string>>();
  for (const source of topology.queues.values()) {
    const target = deadLetterTargetOf(source);
    if (!target || isDelayName(source.name)) continue;
    for (const name of queuesReached(topology, target.exchange, target.routingKey) ?? []) {
      const queue = topology.queues.get(name);
      if (!queue || queue === source || queue.type === 'stream') continue;
      const sources = targets.get(queue) ?? new Set();
      targets.set(queue, sources.add(source.name));
    }
  }
  return targets;
}
