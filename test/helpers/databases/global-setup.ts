import type { TestProject } from 'vitest/node';
import { acquirePostgres } from './postgres.js';
import { acquireRedis } from './redis.js';
import type { DatabaseAddress } from './types.js';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The PostgreSQL that the tests share. Most use it through `createDatabase`. */
    postgres: DatabaseAddress;
    /** The Redis that the tests share. */
    redis: DatabaseAddress;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, redis] = await Promise.all([acquirePostgres(), acquireRedis()]);
  const plain = ({ url, version, description }: DatabaseAddress) => ({ url, version, description });
  project.provide('postgres', plain(postgres));
  project.provide('redis', plain(redis));
  return async () => {
    await Promise.all([postgres.stop(), redis.stop()]);
  };
}
