/**
 * Leveret: a typed messaging client for RabbitMQ.
 *
 * @packageDocumentation
 */

export { Broker } from './broker/broker.js';
export type {
  IdempotentConsumerOptions,
  InboxConsumerOptions,
  WithoutGuard,
} from './broker/guard-options.js';
export type { BrokerHealth, ConnectionHealth, ConsumerHealth, ProducerHealth } from './broker/health.js';
export type { BrokerOptions, CloseOptions, ReconnectOptions } from './broker/options.js';
export type { BrokerState } from './broker/state.js';
export type { Consumer, ConsumerStats } from './consumer/consumer-api.js';
export type { ConsumerState } from './consumer/consumer-state.js';
export type { Message } from './consumer/delivery/message.js';
export type { BatchConsumerOptions, BatchContext } from './consumer/options/batch-options.js';
export type { ConsumerOptions, HandlerOptions, OrderKey } from './consumer/options/consumer-options.js';
export type { StreamOffset } from './consumer/options/stream-offset.js';
export { DeadLetter, RetryLater } from './consumer/thrown-verdicts.js';
export type { CodecName, JsonOf, Travelling } from './contracts/body/json.js';
export type {
  BodyOf,
  InputOf,
  OutputOf,
  Schema,
  SchemaIssue,
  SchemaResult,
} from './contracts/body/schema.js';
export { delays } from './contracts/delays.js';
export { type ExchangeOptions, exchange } from './contracts/exchange.js';
export { type ProcedureOptions, type ProcedureSchemas, procedure } from './contracts/procedure.js';
export { queue } from './contracts/queue.js';
export type {
  Binding,
  BindingArguments,
  BoundQueueOptions,
  ClassicQueueOptions,
  Contract,
  DelaysContract,
  ExchangeContract,
  ExchangeType,
  FailedMessage,
  ProcedureContract,
  QueueContract,
  QueueOptions,
  QueueType,
  QuorumQueueOptions,
  RetryOptions,
  RetryPolicy,
  StreamQueueOptions,
  SubscriptionContract,
  SubscriptionOptions,
} from './contracts/types.js';
export type { DeadLetters } from './dead-letters/dead-letters.js';
export type { DeadLetterEntry } from './dead-letters/entry.js';
export type {
  ListDeadLettersOptions,
  ReplayOptions,
  ReplayProgress,
  ReplayResult,
} from './dead-letters/options.js';
export type {
  ConnectTrace,
  ConsumedMessageFields,
  MessageFields,
  ProcessBatchTrace,
  ProcessMessageTrace,
  ProcessTrace,
  RequestTrace,
  SendTrace,
  SettleTrace,
} from './diagnostics/payloads.js';
export {
  type AnyLeveretError,
  BufferFullError,
  ClosedError,
  ConfigurationError,
  type ConfigurationErrorCode,
  ConnectionError,
  type ConnectionErrorCode,
  type ErrorCode,
  type Issue,
  isLeveretError,
  LeveretError,
  MessageTooLargeError,
  RejectedError,
  RemoteError,
  TimeoutError,
  type TopologyDifference,
  TopologyError,
  type TopologyErrorCode,
  UnroutableError,
  ValidationError,
  type ValidationErrorCode,
} from './errors.js';
export type { BrokerEvent, BrokerEvents, BrokerListener, DiagnosticsChannels, Logger } from './events.js';
export { memoryStore } from './idempotency/memory-store.js';
export type { ClaimResult, IdempotencyOptions, IdempotencyStore } from './idempotency/store.js';
export type { Inbox } from './inbox/inbox.js';
export type { HeaderValue } from './messages/headers.js';
export type {
  Outbox,
  OutboxOptionsOf,
  OutboxSendAllArguments,
  OutboxSendArguments,
  OutboxSendOptions,
} from './outbox/outbox.js';
export type { Relay, RelayHealth, RelayOptions, RelayStats, RelayStatus } from './outbox/relay.js';
export type { StoreStats, StuckRow } from './outbox/relay-store.js';
export type { Producer } from './producer/producer.js';
export type { ProducerOptions } from './producer/producer-options.js';
export type { Receipt } from './producer/publisher/pending-send.js';
export type {
  SendAllArguments,
  SendAllOptions,
  SendAllProgress,
  SendAllResult,
} from './producer/send-all.js';
export type { SendArguments, SendOptions } from './producer/send-options.js';
export type { RequestOptions } from './rpc/requester/request-options.js';
export type { Responder, ResponderOptions } from './rpc/responder/responder.js';
export type { Credentials, Role } from './transport/port.js';
