import type { Check, Draft } from '../check.js';
import { argument, limitOf } from '../settings.js';

export const deniedBy43: Check = {
  id: 'denied-by-4.3',
  run({ topology }) {
    if ('missing' in topology) return { skipped: topology.missing };
    return [...topology.value.queues.values()].flatMap((queue): Draft[] => {
      if (queue.durable || queue.exclusive) return [];
      const message = `'${queue.name}' is neither durable nor exclusive: RabbitMQ 4.3 refuses to declare such a queue. Declare it as one of the two in its program.`;
      return [
        {
          severity: 'warning',
          subject: queue.name,
          message,
          remedy: { kind: 'queue', queue, change: { gone: true } },
        },
      ];
    });
  },
};

export const consumerTimeout: Check = {
  id: 'consumer-timeout',
  run({ topology, handlerTimeoutMs }) {
    if ('missing' in topology) return { skipped: topology.missing };
    return [...topology.value.queues.values()].flatMap((queue): Draft[] => {
      const timeoutMs = limitOf(queue, 'consumer-timeout');
      if (timeoutMs === undefined || timeoutMs > handlerTimeoutMs) return [];
      const message = `The server takes a message of '${queue.name}' back from a consumer after ${timeoutMs} ms, and a handler may run for ${handlerTimeoutMs} ms. Raise the one, or lower the other.`;
      const isArgument = argument(queue, 'consumer-timeout') !== undefined;
      const isApplied = queue.applied['consumer-timeout'] !== undefined;
      return [
        {
          severity: 'warning',
          subject: queue.name,
          message,
          remedy: {
            kind: 'queue',
            queue,
            change: {
              arguments: isArgument ? { 'x-consumer-timeout': undefined } : {},
              policy: isApplied ? { 'consumer-timeout': handlerTimeoutMs + MARGIN_MS } : {},
            },
          },
        },
      ];
    });
  },
};

/** A margin for the time that a message may wait before its handler begins. */
const MARGIN_MS = 600_000;
