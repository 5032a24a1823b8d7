import { isBefore } from '../../../util/server-version.js';
import type { Check } from '../check.js';
import { line } from '../shell.js';

/** The oldest version that Leveret is tested on. */
export const serverVersion: Check = {
  id: 'server-version',
  run({ greeting: { version }, where }) {
    if (!isBefore(version, 3, 10)) return [];
    const message = `RabbitMQ ${version} is older than 3.10, the oldest that Leveret is made for. Upgrade the server.`;
    return [{ severity: 'error', subject: where.label, message }];
  },
};

export const tls: Check = {
  id: 'tls',
  run({ where: { secure, password, hostname, label } }) {
    if (secure || password === '' || isLoopback(hostname)) return [];
    const message = `The password goes to '${hostname}' without encryption. Use an amqps: URL, and let the server listen with TLS.`;
    return [{ severity: 'warning', subject: label, message }];
  },
};

const LONGEST_HEARTBEAT_S = 60;

export const heartbeat: Check = {
  id: 'heartbeat',
  run({ greeting: { heartbeatSeconds }, where }) {
    if (heartbeatSeconds > 0 && heartbeatSeconds <= LONGEST_HEARTBEAT_S) return [];
    const what =
      heartbeatSeconds === 0
        ? 'The server proposes no heartbeat: a client that does not ask for one never notices that its peer is gone'
        : `The server proposes a heartbeat of ${heartbeatSeconds} s: a peer that is gone is noticed after two of them`;
    const message = `${what}. Write 'heartbeat = ${LONGEST_HEARTBEAT_S}' into rabbitmq.conf too, or the next restart brings it back.`;
    const lines = [
      line('rabbitmqctl', 'eval', `application:set_env(rabbit, heartbeat, ${LONGEST_HEARTBEAT_S}).`),
    ];
    return [{ severity: 'warning', subject: where.label, message, remedy: { kind: 'lines', lines } }];
  },
};

/** Decided by the name, which may resolve to another machine tomorrow. */
function isLoopback(hostname: string): boolean {
  return /^(?:localhost|.*\.localhost|127(?:\.\d+){3}|::1|::ffff:127\..*|::ffff:7f.*)$/i.test(hostname);
}
