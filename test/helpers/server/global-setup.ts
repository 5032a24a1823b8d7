import type { TestProject } from 'vitest/node';
import { acquireServer } from './shared-server.js';
import type { ServerAddress, TestServer } from './types.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The server that the tests share. Most use it through `createVhost`. */
    server: ServerAddress;
  }
}

/** Vitest loads this module once for every project: what they share lives outside of it. */
interface Shared {
  server: Promise<TestServer>;
  users: number;
}
const key = Symbol.for('leveret.test.server');
const holder = globalThis as { [key]?: Shared };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  holder[key] ??= { server: acquireServer(), users: 0 };
  const shared = holder[key];
  shared.users++;
  const { url, managementUrl, version, description } = await shared.server;
  project.provide('server', { url, managementUrl, version, description });
  return async () => {
    if (--shared.users > 0) return;
    delete holder[key];
    await (await shared.server).stop();
  };
}
