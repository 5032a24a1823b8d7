import { ConfigurationError } from '../errors.js';
import { expectRecord, show } from '../util/checks.js';
import type { CodecName, Travelling } from './body/json.js';
import type { InputOf, Schema } from './body/schema.js';
import { makeQueue } from './queue.js';
import { type AnyQueueOptions, checkName, checkSchema } from './queue-checks.js';
import type { ClassicQueueOptions, ProcedureContract, QuorumQueueOptions } from './types.js';

/** The two schemas of a procedure. */
export interface ProcedureSchemas<Request extends Schema, Response extends Schema, C extends CodecName> {
  /**
   * The schema of the requests: its input is what `request` takes, its output what the responder's handler receives. The
   * input must be JSON (or as `codec` says).
   */
  readonly request: Request & Travelling<InputOf<Request>, C>;
  /**
   * The schema of the responses: its input is what the handler returns, its output what the requester receives. The input
   * must be JSON (or as `codec` says).
   */
  readonly response: Response & Travelling<InputOf<Response>, C>;
}

/**
 * Options that make no sense for a queue of requests: a failed request is answered with an error, and retrying is up to the
 * requester.
 */
type WithoutPolicy<O> = Omit<O, 'bindings' | 'deadLetter' | 'exclusive' | 'messageTtlMs' | 'retry' | 'type'>;

/**
 * How the queue of a procedure is declared: the options of {@link queue}, without those of the failure policy.
 *
 * It is a durable **classic** queue by default: a request lives for seconds, and its answer can only reach a requester that
 * is still connected, so a copy on several servers costs more time than it saves. With a `maxLength` or `maxLengthBytes`, a
 * request for a full queue is refused (`RejectedError`) unless `overflow` says otherwise.
 */
export type ProcedureOptions<C extends CodecName = 'json'> =
  | (WithoutPolicy<ClassicQueueOptions<C>> & { readonly type?: 'classic' | undefined })
  | (WithoutPolicy<QuorumQueueOptions<C>> & { readonly type: 'quorum' });

/**
 * Describes a request and its answer. Pure data: nothing is sent until a broker uses it.
 *
 * Requests wait in a queue of this name. A responder declares it; a request does not, so that one without a responder
 * anywhere fails at once.
 *
 * @param name - the queue's name, 1 to 255 bytes; names that begin with `amq.` belong to the server
 * @param options - the schemas `request` and `response`, and how the queue is declared
 * @throws ConfigurationError for a bad name, a missing schema, an unknown option, a value out of range, or a combination that
 * RabbitMQ refuses
 *
 * @example
 * ```ts
 * const quote = procedure('quote', {
 *   request: z.object({ sku: z.string() }),
 *   response: z.object({ price: z.number() }),
 * });
 * broker.responder(quote, async ({ body }) => ({ price: await lookup(body.sku) }));
 * const { price } = await broker.request(quote, { sku: 'A1' }, { timeoutMs: 5_000 });
 * ```
 */
export function procedure<Request extends Schema, Response extends Schema, C extends CodecName = 'json'>(
  name: string,
  options: ProcedureSchemas<Request, Response, C> & ProcedureOptions<C>,
): ProcedureContract<Request, Response> {
  return makeProcedure(name, options) as ProcedureContract<Request, Response>;
}

function makeProcedure(name: string, given: unknown): ProcedureContract {
  checkName('procedure', name, (given as { readonly declare?: unknown } | null | undefined)?.declare);
  const where = `procedure('${name}')`;
  if (expectRecord(given)) {
    const expected = 'an object with the schemas `request` and `response`';
    throw new ConfigurationError('options', `${where}: expected ${expected}, got ${show(given)}`);
  }
  const { request, response, ...options } = given as { request: Schema; response: Schema } & AnyQueueOptions;
  checkSchema('procedure', name, request, 'request');
  checkSchema('procedure', name, response, 'response');
  checkProcedureOptions(where, options);
  const isLimited = options.maxLength !== undefined || options.maxLengthBytes !== undefined;
  const queue = makeQueue(name, request, {
    type: 'classic',
    // If the oldest request were dropped silently, its requester would time out. A refused request fails at once.
    ...(isLimited ? { overflow: 'reject-publish' } : undefined),
    ...defined(options),
    retry: false,
    deadLetter: false,
  });
  const { codec } = queue;
  return Object.freeze({ kind: 'procedure', name, request, response, codec, queue });
}

/** An option that is present but undefined counts as absent. */
function defined(options: object): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function checkProcedureOptions(where: string, options: AnyQueueOptions): void {
  for (const [key, why] of Object.entries(USELESS)) {
    if (options[key as keyof AnyQueueOptions] === undefined) continue;
    throw new ConfigurationError(key, `${where}: '${key}' cannot be set on a procedure: ${why}`);
  }
  if (options.type === 'stream') {
    throw new ConfigurationError(
      'type',
      `${where}: option 'type' must be 'classic' or 'quorum', got 'stream'`,
    );
  }
}

const USELESS: Readonly<Record<string, string>> = {
  bindings: 'requests are sent to its queue by name',
  deadLetter: 'a request that fails is answered with the error',
  exclusive: 'its requesters and responders have connections of their own',
  messageTtlMs: 'each request expires with its own timeout',
  retry: 'a request that fails is answered with the error, and the requester decides',
};
