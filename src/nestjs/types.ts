import type { Scope } from '@nestjs/common';
import type {
  ExchangeContract,
  HandlerOptions,
  InputOf,
  Message,
  OutputOf,
  ProcedureContract,
  QueueContract,
  RequestOptions,
  ResponderOptions,
  Schema,
  SubscriptionContract,
} from '../index.js';

/** What a class with {@link Consumer} consumes: a queue, or a private subscription to an exchange. */
export type ConsumedContract = QueueContract | SubscriptionContract;

/** What {@link LeveretModule.forFeature} accepts: the targets of producers and requesters. */
export type FeatureContract = QueueContract | ExchangeContract | ProcedureContract;

/** The body that a handler of the contract receives: the output of its schema, for a procedure that of the request's. */
export type BodyOf<C> =
  C extends ProcedureContract<infer Request, Schema>
    ? OutputOf<Request>
    : C extends { readonly schema: infer S extends Schema }
      ? OutputOf<S>
      : never;

/**
 * The message that a handler of the contract receives.
 *
 * @typeParam C - the type of a queue, an exchange, a subscription or a procedure, such as `typeof billing`
 */
export type MessageOf<C> = Message<BodyOf<C>>;

/**
 * The return type of a responder's handler: the input of the response's schema.
 *
 * @typeParam P - the type of a procedure, such as `typeof quote`
 */
export type AnswerOf<P extends ProcedureContract> = InputOf<P['response']>;

/** Sends the requests of one procedure. Injected by {@link InjectRequester}. */
export interface Requester<P extends ProcedureContract = ProcedureContract> {
  /** Sends a request, as `broker.request` does: with the same options, and the same errors. */
  request(body: InputOf<P['request']>, options?: RequestOptions): Promise<OutputOf<P['response']>>;
}

/** The options that {@link Consumer} and {@link Responder} add to those of Leveret. */
export interface ProviderOptions {
  /** The broker's name in `forRoot`. @defaultValue 'default' */
  readonly broker?: string | undefined;
  /**
   * The lifetime of the class's instances; with `Scope.REQUEST` each run of the handler gets its own. @defaultValue
   * Scope.DEFAULT
   */
  readonly scope?: Scope | undefined;
}

/** The options of {@link Consumer}: those of `broker.consumer(…)` with a handler, `broker` and `scope`. */
export interface ConsumerDecoratorOptions<C extends ConsumedContract = ConsumedContract>
  extends HandlerOptions<BodyOf<C>>,
    ProviderOptions {}

/** The options of {@link Responder}: those of `broker.responder(…)`, `broker` and `scope`. */
export interface ResponderDecoratorOptions extends ResponderOptions, ProviderOptions {}

/**
 * A class whose `handle` takes the message and returns the result. A function property rather than a method: the parameters
 * of methods are compared in both directions, so a handler could require more than it receives.
 */
export type HandlerClass<M, Result> = new (
  ...args: never[]
) => {
  /** Handles one message. */
  readonly handle: (message: M) => Result;
};
