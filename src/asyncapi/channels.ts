import { codecs } from '../contracts/body/codec.js';
import type { CodecName } from '../contracts/body/json.js';
import type { Schema } from '../contracts/body/schema.js';
import type {
  ExchangeContract,
  ProcedureContract,
  QueueContract,
  SubscriptionContract,
} from '../contracts/types.js';
import type { AsyncApiChannel, AsyncApiMessage, AsyncApiOperation } from './document.js';
import { movedTo, toDraft07 } from './json-schema.js';
import { extensionOf, queueExtension } from './leveret-extension.js';

/** The contracts that a document describes. */
export type DescribedContract = QueueContract | ExchangeContract | ProcedureContract | SubscriptionContract;

/** A contract's part of the document. */
export interface Description {
  readonly channel: AsyncApiChannel;
  readonly operations: readonly (readonly [key: string, operation: AsyncApiOperation])[];
}

/** Describes one contract. */
export class Describer {
  readonly #toJsonSchema: ((schema: unknown) => unknown) | undefined;

  constructor(toJsonSchema: ((schema: unknown) => unknown) | undefined) {
    this.#toJsonSchema = toJsonSchema;
  }

  /** @param key - the key of the contract's channel */
  describe(contract: DescribedContract, key: string): Description {
    switch (contract.kind) {
      case 'queue':
        return this.#queue(contract, key);
      case 'exchange':
        return this.#exchange(contract, key);
      case 'procedure':
        return this.#procedure(contract, key);
      case 'subscription':
        return this.#subscription(contract, key);
    }
  }

  #queue(contract: QueueContract, key: string): Description {
    const { name, schema, codec } = contract;
    return {
      channel: {
        address: name,
        description: `The ${contract.type} queue '${name}'.`,
        messages: { [key]: this.#message(name, schema, codec, key, key) },
        bindings: queueBinding(contract),
        'x-leveret': queueExtension(contract),
      },
      operations: [
        [`send.${key}`, operation('send', key, key, `Sends a message to the queue '${name}'.`)],
        [`receive.${key}`, operation('receive', key, key, `Consumes the queue '${name}'.`)],
      ],
    };
  }

  #exchange(contract: ExchangeContract, key: string): Description {
    const { name, schema, codec, type } = contract;
    const isKeyed = type === 'topic' || type === 'direct';
    const parameters = { routingKey: { description: 'The routing key of the message.' } };
    return {
      channel: {
        address: isKeyed ? '{routingKey}' : null,
        description: `The ${type} exchange '${name}'.`,
        ...(isKeyed ? { parameters } : undefined),
        messages: { [key]: this.#message(name, schema, codec, key, key) },
        bindings: exchangeBinding(contract),
      },
      operations: [
        [`send.${key}`, operation('send', key, key, `Publishes a message to the exchange '${name}'.`)],
      ],
    };
  }

  #subscription(contract: SubscriptionContract, key: string): Description {
    const { exchange: name, schema } = contract;
    const queue = contract.toQueue();
    return {
      channel: {
        address: null,
        description: `A private queue of each consumer, bound to the exchange '${name}'.`,
        messages: { [key]: this.#message(name, schema, queue.codec, key, key) },
        bindings: exchangeBinding(sourceOf(queue)),
        'x-leveret': extensionOf(queue),
      },
      operations: [
        [`receive.${key}`, operation('receive', key, key, `Subscribes to the exchange '${name}'.`)],
      ],
    };
  }

  #procedure(contract: ProcedureContract, key: string): Description {
    const { name, request, response, codec, queue } = contract;
    const reply = {
      address: { location: '$message.header#/replyTo', description: 'The direct reply-to of the requester.' },
      messages: [{ $ref: messagePointer(key, 'response') }],
    };
    const one = (action: 'send' | 'receive', summary: string) => ({
      ...operation(action, key, 'request', summary),
      reply,
    });
    return {
      channel: {
        address: name,
        description: `The procedure '${name}': requests wait in the queue of this name, answers go to the requester directly.`,
        messages: {
          request: this.#message(`${name}.request`, request, codec, key, 'request'),
          response: this.#message(`${name}.response`, response, codec, key, 'response'),
        },
        bindings: queueBinding(queue),
        'x-leveret': extensionOf(queue),
      },
      operations: [
        [`request.${key}`, one('send', `Asks '${name}' and waits for the answer.`)],
        [`respond.${key}`, one('receive', `Answers requests for '${name}'.`)],
      ],
    };
  }

  #message(
    name: string,
    schema: Schema,
    codec: CodecName,
    channel: string,
    message: string,
  ): AsyncApiMessage {
    const { contentType } = codecs[codec];
    if (codec === 'bytes') return { name, contentType, payload: { type: 'string', format: 'binary' } };
    const payload = toDraft07(schema, this.#toJsonSchema);
    if (payload === undefined) return { name, contentType, payload: {}, 'x-leveret-schema': 'unknown' };
    return { name, contentType, payload: movedTo(`${messagePointer(channel, message)}/payload`, payload) };
  }
}

/** A subscription's queue is bound to its exchange, by one binding or several. */
function sourceOf(queue: QueueContract): ExchangeContract {
  return queue.bindings[0]?.exchange as ExchangeContract;
}

/** Keys have no character that a JSON pointer escapes. */
const messagePointer = (channel: string, message: string) => `#/channels/${channel}/messages/${message}`;

function operation(
  action: 'send' | 'receive',
  channel: string,
  message: string,
  summary: string,
): AsyncApiOperation {
  const amqp = action === 'send' ? { deliveryMode: 2, timestamp: true } : { ack: true };
  return {
    action,
    channel: { $ref: `#/channels/${channel}` },
    summary,
    messages: [{ $ref: messagePointer(channel, message) }],
    bindings: { amqp: { ...amqp, bindingVersion: BINDING_VERSION } },
  };
}

const BINDING_VERSION = '0.3.0';

function queueBinding({ name, durable, exclusive, autoDelete }: QueueContract) {
  const queue = { name, durable, exclusive, autoDelete };
  return { amqp: { is: 'queue', queue, bindingVersion: BINDING_VERSION } };
}

function exchangeBinding({ name, type, durable, autoDelete }: ExchangeContract) {
  const exchange = { name, type, durable, autoDelete };
  return { amqp: { is: 'routingKey', exchange, bindingVersion: BINDING_VERSION } };
}
