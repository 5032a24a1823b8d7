export * from './management.js';
export { startPrivateCluster, startPrivateServer } from './private-server.js';
export { type QueueCounts, queueCounts, queueDepth } from './queue-counts.js';
export { acquireServer } from './shared-server.js';
export type { PrivateServer, PrivateServerOptions, ServerAddress, TestServer } from './types.js';
export { createVhost, type TestVhost } from './vhost.js';
