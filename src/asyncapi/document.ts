/** The address of a server. The user and password are never part of it. */
export interface AsyncApiServer {
  readonly host: string;
  readonly protocol: string;
  /** The virtual host, in the form that it has in the URL. */
  readonly pathname?: string;
}

/** A JSON pointer into the same document. */
export interface AsyncApiReference {
  readonly $ref: string;
}

/** What travels on a channel. */
export interface AsyncApiMessage {
  readonly name: string;
  readonly contentType: string;
  /** The body on the wire: JSON Schema draft-07 of the schema's input. */
  readonly payload: Readonly<Record<string, unknown>>;
  /** Present when the schema could not be converted: the payload is then `{}`. */
  readonly 'x-leveret-schema'?: 'unknown';
}

/** A binding of a queue to an exchange, in `x-leveret`. */
export interface AsyncApiQueueBinding {
  readonly exchange: string;
  readonly routingKey: string;
  /** The headers to match, for a headers exchange. */
  readonly arguments?: Readonly<Record<string, unknown>>;
}

/** What AsyncAPI cannot express: how Leveret declares the queue and treats its messages. */
export interface LeveretExtension {
  readonly type: 'quorum' | 'classic' | 'stream';
  readonly retry:
    | false
    | {
        readonly attempts: number;
        readonly initialDelayMs: number;
        readonly factor: number;
        readonly maxDelayMs: number;
        readonly jitter: boolean;
      };
  /** The name of the dead-letter queue. */
  readonly deadLetter: string | false;
  readonly deliveryLimit?: number;
  readonly messageTtlMs?: number;
  readonly expiresMs?: number;
  readonly maxLength?: number;
  readonly maxLengthBytes?: number;
  readonly overflow?: string;
  readonly maxPriority?: number;
  readonly singleActiveConsumer?: boolean;
  readonly bindings: readonly AsyncApiQueueBinding[];
  /** The range of `delayMs`; absent where no message can be delayed. */
  readonly delay?: { readonly minMs: number; readonly maxMs: number };
}

/** A queue, an exchange, a procedure or a subscription. */
export interface AsyncApiChannel {
  /** The name of the queue; `{routingKey}` for a topic or direct exchange; null where no name is needed to send. */
  readonly address: string | null;
  readonly description: string;
  readonly parameters?: { readonly routingKey: { readonly description: string } };
  readonly messages: Readonly<Record<string, AsyncApiMessage>>;
  readonly bindings: { readonly amqp: Readonly<Record<string, unknown>> };
  readonly 'x-leveret'?: LeveretExtension;
}

/** One side of a channel. */
export interface AsyncApiOperation {
  readonly action: 'send' | 'receive';
  readonly channel: AsyncApiReference;
  readonly summary: string;
  readonly messages: readonly AsyncApiReference[];
  readonly bindings: { readonly amqp: Readonly<Record<string, unknown>> };
  readonly reply?: {
    readonly address: { readonly location: string; readonly description: string };
    readonly messages: readonly AsyncApiReference[];
  };
}

/** An AsyncAPI 3.0.0 document, as plain JSON data. Create it with {@link asyncapi}. */
export interface AsyncApiDocument {
  readonly asyncapi: '3.0.0';
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly servers?: Readonly<Record<string, AsyncApiServer>>;
  readonly channels: Readonly<Record<string, AsyncApiChannel>>;
  readonly operations: Readonly<Record<string, AsyncApiOperation>>;
}
