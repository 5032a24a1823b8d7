import { setTimeout as delay } from 'node:timers/promises';
import { connect } from 'amqplib';
import { ManagementApi } from './management.js';

/** Connects once and tells the server's version. Rejects if AMQP does not work within the time. */
export async function probeAmqp(url: string, timeoutMs = 5_000): Promise<string> {
  const connection = await connect(url, { timeout: timeoutMs });
  connection.on('error', () => undefined); // Closing reports it too.
  const properties: Record<string, unknown> = connection.connection.serverProperties;
  await connection.close();
  return String(properties.version);
}

export interface ReadinessOptions {
  readonly url: string;
  readonly managementUrl: string;
  readonly timeoutMs: number;
  /** Returns a reason to give up early, such as the end of the server's process. */
  readonly gaveUp?: () => string | undefined;
}

/** Resolves with the server's version as soon as both AMQP and the management API answer. */
export async function waitUntilReady(options: ReadinessOptions): Promise<string> {
  const deadline = Date.now() + options.timeoutMs;
  const management = new ManagementApi(options.managementUrl);
  for (;;) {
    try {
      const version = await probeAmqp(options.url, 2_000);
      await management.version();
      return version;
    } catch (error) {
      const reason = options.gaveUp?.();
      if (reason !== undefined) throw new Error(reason, { cause: error });
      if (Date.now() > deadline) {
        throw new Error(
          `RabbitMQ did not answer at ${withoutCredentials(options.url)} in ${options.timeoutMs} ms.`,
          {
            cause: error,
          },
        );
      }
      await delay(50);
    }
  }
}

/** The URL as it may be printed. */
export function withoutCredentials(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}
