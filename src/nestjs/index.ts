/**
 * Leveret for NestJS: a module, decorators for consumers and responders, and injection of producers and requesters.
 *
 * @packageDocumentation
 */

export { Consumer, InjectBroker, InjectProducer, InjectRequester, Responder } from './decorators.js';
export { LeveretHealthIndicator, type LivenessResult, type ReadinessResult } from './health.js';
export { LeveretModule } from './leveret.module.js';
export { getMessage } from './message-of-host.js';
export type {
  LeveretModuleAsyncOptions,
  LeveretModuleOptions,
  LeveretOptionsFactory,
} from './module-options.js';
export { getBrokerToken, getProducerToken, getRequesterToken } from './tokens.js';
export type {
  AnswerOf,
  BodyOf,
  ConsumedContract,
  ConsumerDecoratorOptions,
  FeatureContract,
  HandlerClass,
  MessageOf,
  ProviderOptions,
  Requester,
  ResponderDecoratorOptions,
} from './types.js';
