import { encodeBody } from '../contracts/body/body.js';
import { isExchange, isQueue } from '../contracts/guards.js';
import type { Contract } from '../contracts/types.js';
import { ConfigurationError, MessageTooLargeError, ValidationError } from '../errors.js';
import { dueInMs, outgoingOf } from '../producer/outgoing-message.js';
import { checkDelay } from '../producer/send-delay.js';
import { checkSendOptions } from '../producer/send-options.js';
import { type Check, checkOptions, isWellFormed, show } from '../util/checks.js';
import { systemClock } from '../util/clock.js';
import { uuid } from '../util/uuid.js';
import { encodeEnvelope } from './envelope.js';
import { labelOf, type OutboxSendOptions } from './outbox.js';
import type { NewRow } from './relay-store.js';

type AnyOptions = OutboxSendOptions & { readonly routingKey?: string };
type EachOptions = AnyOptions | ((body: unknown, index: number) => AnyOptions | undefined);

/** The most messages of one `sendAll`. */
const MAX_ROWS = 10_000;

/** The most bytes of all bodies in one `sendAll`: a PostgreSQL statement is limited to 1 GB. */
const MAX_ALL_BYTES = 256 * 1024 * 1024;

const MAX_KEY_CHARACTERS = 255;

/** Checks what is sent to an outbox, as a producer does, and creates its rows. */
export class RowMaker {
  readonly contracts: ReadonlyMap<string, Contract>;
  readonly #maxBodyBytes: number;

  /**
   * @param where - the name of the called function, for messages
   * @throws ConfigurationError for anything but a list of queues and exchanges, each once
   */
  constructor(where: string, contracts: unknown, maxBodyBytes: number) {
    this.contracts = checkContracts(where, contracts);
    this.#maxBodyBytes = maxBodyBytes;
  }

  /** @throws ConfigurationError, ValidationError, MessageTooLargeError */
  async row(given: unknown, body: unknown, options: unknown): Promise<NewRow> {
    return this.#row(this.#contract('send', given), body, options as AnyOptions | undefined);
  }

  /** @throws ConfigurationError, ValidationError, MessageTooLargeError: for all, or none */
  async rows(given: unknown, bodies: unknown, options: unknown): Promise<NewRow[]> {
    const contract = this.#contract('sendAll', given);
    const all = listOf(bodies);
    const each = options as EachOptions | undefined;
    const rows: NewRow[] = [];
    let sizeBytes = 0;
    for (const [index, body] of all.entries()) {
      const own = typeof each === 'function' ? each(body, index) : each;
      const row = await this.#row(contract, body, own).catch((error: unknown) => {
        throw atIndex(error, contract, index);
      });
      sizeBytes += row.body.length;
      if (sizeBytes > MAX_ALL_BYTES) {
        const message = `outbox.sendAll: the bodies exceed ${MAX_ALL_BYTES} bytes together. Send them in several calls`;
        throw new MessageTooLargeError(message, sizeBytes, MAX_ALL_BYTES);
      }
      rows.push(row);
    }
    return rows;
  }

  #contract(method: string, given: unknown): Contract {
    const contract = isQueue(given) || isExchange(given) ? given : undefined;
    const known = contract && this.contracts.get(labelOf(contract));
    if (known !== undefined && known === contract) return known;
    const names = [...this.contracts.keys()].join(', ');
    const got = contract ? `the ${contract.kind} '${contract.name}'` : show(given);
    throw new ConfigurationError(
      'contract',
      `outbox.${method}: expected a contract that the outbox was made with (${names}), got ${
        known ? `another contract of ${got}` : got
      }`,
    );
  }

  async #row(contract: Contract, body: unknown, options: AnyOptions | undefined): Promise<NewRow> {
    const target = `the ${contract.kind} '${contract.name}'`;
    const clock = systemClock;
    const { key, ...own } = checkOwn(target, options);
    const given = options && own;
    checkSendOptions(contract, target, given);
    if (given) checkDelay(contract, target, given, clock);
    const now = clock.wallNow();
    const messageId = own.messageId ?? uuid();
    const envelope = encodeEnvelope(outgoingOf(contract, messageId, own, now));
    const encoded = encodeBody(contract, target, body, this.#maxBodyBytes);
    const content = Buffer.isBuffer(encoded) ? encoded : await encoded.content;
    return {
      messageId,
      contract: labelOf(contract),
      key,
      body: content,
      envelope,
      dueInMs: dueInMs(own, now),
    };
  }
}

function checkContracts(where: string, contracts: unknown): ReadonlyMap<string, Contract> {
  const refuse = (expected: string, got: unknown) => {
    throw new ConfigurationError('contracts', `${where}: expected ${expected}, got ${show(got)}`);
  };
  if (!Array.isArray(contracts)) refuse('a list of queues and exchanges', contracts);
  const known = new Map<string, Contract>();
  for (const contract of contracts as unknown[]) {
    if (!isQueue(contract) && !isExchange(contract)) {
      refuse('contracts made by queue() or exchange()', contract);
      continue;
    }
    if (contract.name.includes('\0')) refuse('names without U+0000, which PostgreSQL cannot store', contract);
    const label = labelOf(contract);
    if (known.has(label) && known.get(label) !== contract)
      throw new ConfigurationError(
        'contracts',
        `${where}: there are two different contracts of the ${contract.kind} '${contract.name}'`,
      );
    known.set(label, contract);
  }
  return known;
}

const unknown: Check = () => undefined;

/** Checks the options that `producer.send` does not have, and refuses those that an outbox does not have. */
function checkOwn(target: string, options: unknown): AnyOptions {
  const where = `outbox.send to ${target}`;
  checkOptions(where, options, ownChecks);
  const own = (options ?? {}) as AnyOptions;
  if (own.key !== undefined) checkKey(where, own.key);
  return own;
}

const expectStorable: Check = (value) =>
  typeof value === 'string' && value.includes('\0') ? 'a string without U+0000' : undefined;

const ownChecks: Readonly<Record<string, Check>> = {
  key: unknown,
  messageId: expectStorable,
  correlationId: unknown,
  headers: unknown,
  priority: unknown,
  ttlMs: unknown,
  delayMs: unknown,
  deliverAt: unknown,
  mandatory: unknown,
  routingKey: unknown,
};

/** A key may be personal data, so no message contains it. */
function checkKey(where: string, key: unknown): void {
  const isText = typeof key === 'string' && !key.includes('\0') && isWellFormed(key);
  const length = isText ? [...key].length : 0;
  if (length >= 1 && length <= MAX_KEY_CHARACTERS) return;
  const got = typeof key === 'string' ? `one of ${key.length}` : show(key);
  const expected = `a string of 1 to ${MAX_KEY_CHARACTERS} characters, without U+0000 and lone surrogates`;
  throw new ConfigurationError('key', `${where}: option 'key' must be ${expected}, got ${got}`);
}

function listOf(bodies: unknown): unknown[] {
  const isIterable =
    bodies !== null &&
    bodies !== undefined &&
    typeof (bodies as Partial<Iterable<unknown>>)[Symbol.iterator] === 'function';
  if (!isIterable) {
    throw new ConfigurationError(
      'bodies',
      `outbox.sendAll: expected an iterable of bodies, got ${show(bodies)}`,
    );
  }
  const all: unknown[] = [];
  for (const body of bodies as Iterable<unknown>) {
    if (all.length === MAX_ROWS) {
      const message = `outbox.sendAll: one call takes at most ${MAX_ROWS} bodies, got more`;
      throw new ConfigurationError('bodies', message);
    }
    all.push(body);
  }
  return all;
}

function atIndex(error: unknown, contract: Contract, index: number): unknown {
  if (!(error instanceof ValidationError)) return error;
  const issues = error.issues.map(({ message, path }) => ({ message, path: [index, ...path] }));
  return new ValidationError(`the ${contract.kind} '${contract.name}'`, issues, { cause: error.cause });
}
