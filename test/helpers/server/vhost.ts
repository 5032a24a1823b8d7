import { randomUUID } from 'node:crypto';
import { inject } from 'vitest';
import { ManagementApi } from './management.js';
import type { ServerAddress } from './types.js';

export interface TestVhost extends AsyncDisposable {
  readonly name: string;
  /** AMQP URL of this virtual host, with credentials. */
  readonly url: string;
  /** Acts in this virtual host. */
  readonly management: ManagementApi;
}

/** A virtual host of one test alone on the shared server, or on the one given. Disposing removes it with all it holds. */
export async function createVhost(
  server: ServerAddress = inject('server'),
  options?: { readonly default_queue_type: string },
): Promise<TestVhost> {
  const name = `leveret-test-${randomUUID().slice(0, 13)}`;
  const url = new URL(server.url);
  url.pathname = encodeURIComponent(name);
  const management = new ManagementApi(server.managementUrl, name);
  await management.createVhost(options);
  return {
    name,
    url: url.href,
    management,
    [Symbol.asyncDispose]: () => management.deleteVhost(),
  };
}
