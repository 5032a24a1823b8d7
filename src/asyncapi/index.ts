/**
 * AsyncAPI documents of contracts, and a page to read them.
 *
 * @packageDocumentation
 */

export { type AsyncApiContract, asyncapi } from './asyncapi.js';
export type {
  AsyncApiChannel,
  AsyncApiDocument,
  AsyncApiMessage,
  AsyncApiOperation,
  AsyncApiQueueBinding,
  AsyncApiReference,
  AsyncApiServer,
  LeveretExtension,
} from './document.js';
export { asyncapiHtml } from './html/page.js';
export type { AsyncApiOptions } from './options.js';
