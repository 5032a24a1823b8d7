import type { Check } from '../check.js';

function alarm(id: string, resource: string, what: string, advice: string): Check {
  return {
    id,
    run({ alarms }) {
      if ('missing' in alarms) return { skipped: alarms.missing };
      const nodes = alarms.value.filter((it) => it.resource === resource).map(({ node }) => node);
      return [...new Set(nodes)].map((node) => ({
        severity: 'error',
        subject: node,
        message: `${what} on '${node}' is in effect: the server accepts no messages. ${advice}`,
      }));
    },
  };
}

export const memoryAlarm = alarm(
  'memory-alarm',
  'memory',
  'The memory alarm',
  'Consume what waits, give the node more memory, or raise vm_memory_high_watermark.',
);

export const diskAlarm = alarm(
  'disk-alarm',
  'disk',
  'The disk alarm',
  'Free disk space, or lower disk_free_limit.',
);
