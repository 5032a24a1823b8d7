import type { Check } from './check.js';
import { diskAlarm, memoryAlarm } from './checks/alarms.js';
import { contractMismatch } from './checks/contract-mismatch.js';
import {
  deadLettersExpire,
  deadLetterTargetMissing,
  noDeadLetterTarget,
  silentOverflow,
} from './checks/dead-letters.js';
import { consumerTimeout, deniedBy43 } from './checks/queues.js';
import { heartbeat, serverVersion, tls } from './checks/server.js';
import { permissions, vhostNotFound } from './checks/vhost.js';

/** Every check, in the order in which their findings matter. */
export const checks: readonly Check[] = [
  serverVersion,
  tls,
  heartbeat,
  vhostNotFound,
  permissions,
  memoryAlarm,
  diskAlarm,
  contractMismatch,
  noDeadLetterTarget,
  deadLetterTargetMissing,
  deadLettersExpire,
  silentOverflow,
  deniedBy43,
  consumerTimeout,
];
