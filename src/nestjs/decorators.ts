import { Inject, Injectable, SetMetadata } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { InstanceWrapper } from '@nestjs/core/injector/instance-wrapper.js';
import {
  ConfigurationError,
  type ExchangeContract,
  type HandlerOptions,
  type ProcedureContract,
  type QueueContract,
  type ResponderOptions,
} from '../index.js';
import { checkKind } from './check-kind.js';
import { DEFAULT_BROKER, getBrokerToken, getProducerToken, getRequesterToken } from './tokens.js';
import type {
  AnswerOf,
  ConsumedContract,
  ConsumerDecoratorOptions,
  HandlerClass,
  MessageOf,
  ProviderOptions,
  ResponderDecoratorOptions,
} from './types.js';

/** What a decorator says about its class. */
export type HandlerDefinition = { readonly broker: string } & (
  | { readonly kind: 'consumer'; readonly contract: ConsumedContract; readonly options: HandlerOptions }
  | { readonly kind: 'responder'; readonly contract: ProcedureContract; readonly options: ResponderOptions }
);

const METADATA_KEY = 'leveret:handler';

const reflector = new Reflector();

/**
 * Marks a class as injectable, and as the consumer of a queue or of a private subscription: its `handle(message)` is the
 * handler. A message is acknowledged after the promise of `handle` resolves; when it rejects, the contract's failure policy
 * decides. Put the class into the `providers` of one module.
 *
 * @param contract - the queue, or the subscription
 * @param options - those of `broker.consumer(…)`; `broker`, when it is not the default one; and `scope`
 * @throws ConfigurationError for anything but a queue or a subscription, and for a class that handles another contract already
 *
 * @example
 * ```ts
 * @Consumer(emails, { concurrency: 10 })
 * class Mailer {
 *   async handle({ body }: MessageOf<typeof emails>): Promise<void> {
 *     await deliver(body);
 *   }
 * }
 * ```
 */
export function Consumer<C extends ConsumedContract>(
  contract: C,
  options: ConsumerDecoratorOptions<C> = {},
): <T extends HandlerClass<MessageOf<C>, unknown>>(target: T) => void {
  const { broker = DEFAULT_BROKER, scope, ...given } = options;
  // Its functions only receive the messages of this contract.
  const handlerOptions = given as HandlerOptions;
  return (target) => {
    checkTarget(target);
    checkKind('contract', `@Consumer of ${target.name}`, contract, ['queue', 'subscription']);
    mark(target, { kind: 'consumer', contract, broker, options: handlerOptions }, scope);
  };
}

/**
 * Marks a class as injectable, and as the responder of a procedure: its `handle(message)` returns the answer, which is
 * validated. When it rejects, the requester gets a `RemoteError`. Put the class into the `providers` of one module.
 *
 * @param procedure - the contract of the requests
 * @param options - those of `broker.responder(…)`; `broker`, when it is not the default one; and `scope`
 * @throws ConfigurationError for anything but a procedure, and for a class that handles another contract already
 *
 * @example
 * ```ts
 * @Responder(quote)
 * class QuoteResponder {
 *   async handle({ body }: MessageOf<typeof quote>): Promise<AnswerOf<typeof quote>> {
 *     return { price: await lookup(body.sku) };
 *   }
 * }
 * ```
 */
export function Responder<P extends ProcedureContract>(
  procedure: P,
  options: ResponderDecoratorOptions = {},
): <T extends HandlerClass<MessageOf<P>, AnswerOf<P> | Promise<AnswerOf<P>> | PromiseLike<AnswerOf<P>>>>(
  target: T,
) => void {
  const { broker = DEFAULT_BROKER, scope, ...responderOptions } = options;
  return (target) => {
    checkTarget(target);
    checkKind('procedure', `@Responder of ${target.name}`, procedure, ['procedure']);
    mark(target, { kind: 'responder', contract: procedure, broker, options: responderOptions }, scope);
  };
}

/** Injects the `Broker` of this name. For the default broker, the class `Broker` as the type of the parameter is enough. */
export function InjectBroker(broker?: string): ParameterDecorator & PropertyDecorator {
  return Inject(getBrokerToken(broker));
}

/**
 * Injects the `Producer` for a queue or an exchange that the module names in `forFeature`.
 *
 * @throws ConfigurationError for anything else
 */
export function InjectProducer(
  contract: QueueContract | ExchangeContract,
  broker?: string,
): ParameterDecorator & PropertyDecorator {
  checkKind('contract', '@InjectProducer', contract, ['queue', 'exchange']);
  return Inject(getProducerToken(contract, broker));
}

/**
 * Injects the {@link Requester} for a procedure that the module names in `forFeature`.
 *
 * @throws ConfigurationError for anything else
 */
export function InjectRequester(
  procedure: ProcedureContract,
  broker?: string,
): ParameterDecorator & PropertyDecorator {
  checkKind('procedure', '@InjectRequester', procedure, ['procedure']);
  return Inject(getRequesterToken(procedure, broker));
}

/** What the decorator of a class, or of one that it extends, says; undefined where there is none. */
export function definitionOf(
  metatype: NonNullable<InstanceWrapper['metatype']>,
): HandlerDefinition | undefined {
  return reflector.get<HandlerDefinition | undefined>(METADATA_KEY, metatype);
}

function checkTarget(target: HandlerClass<never, unknown>): void {
  if (Reflect.hasOwnMetadata(METADATA_KEY, target)) {
    throw new ConfigurationError(
      'contract',
      `${target.name}: a class handles one contract. Make a class of its own for each`,
    );
  }
}

function mark(
  target: HandlerClass<never, unknown>,
  definition: HandlerDefinition,
  scope: ProviderOptions['scope'],
): void {
  Injectable(scope === undefined ? {} : { scope })(target);
  SetMetadata(METADATA_KEY, definition)(target);
}
