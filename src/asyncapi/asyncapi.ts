import { isDelays, isExchange, isProcedure, isQueue, isSubscription } from '../contracts/guards.js';
import type { Binding, DelaysContract } from '../contracts/types.js';
import { ConfigurationError } from '../errors.js';
import { show } from '../util/checks.js';
import { type DescribedContract, Describer } from './channels.js';
import type { AsyncApiDocument } from './document.js';
import { Keys } from './keys.js';
import { bindingOf } from './leveret-extension.js';
import { type AsyncApiOptions, checkList, resolveAsyncApiOptions } from './options.js';
import { serversOf } from './servers.js';

/** What {@link asyncapi} accepts. */
export type AsyncApiContract = DescribedContract | DelaysContract;

/**
 * Describes contracts as an AsyncAPI 3.0.0 document: one channel for each queue, exchange, procedure and subscription, in the
 * given order, and the operations of both of its sides. Pure: no I/O; the same input gives the same document.
 *
 * Bodies are described in the form in which they travel: the schema's **input**, as JSON Schema draft-07. Zod 4.2+ and
 * arktype 2.1.28+ convert themselves; for others pass `toJsonSchema`. A schema that cannot be converted is `{}`, and its
 * message says `x-leveret-schema: 'unknown'`.
 *
 * @param contracts - contracts created by `queue()`, `exchange()`, `procedure()` and `exchange.subscription()`; `delays()` is
 * allowed and adds nothing. A contract that is given twice is described once
 * @param options - the title and version of what is described
 * @throws ConfigurationError for a wrong option, a value that is not a contract, an invalid URL, and two different contracts
 * with one name
 * @example
 * ```ts
 * const document = asyncapi([emails, orders], { title: 'Shop', version: '1.4.0' });
 * await writeFile('asyncapi.json', JSON.stringify(document, null, 2));
 * ```
 */
export function asyncapi(contracts: readonly AsyncApiContract[], options: AsyncApiOptions): AsyncApiDocument {
  const { title, version, description, servers, toJsonSchema } = resolveAsyncApiOptions(options);
  checkList(contracts);
  const describer = new Describer(toJsonSchema);
  const keys = new Keys();
  const described = distinct(contracts, describer).map((contract) => {
    const key = keys.take(nameOf(contract));
    return { key, ...describer.describe(contract, key) };
  });
  return {
    asyncapi: '3.0.0',
    info: { title, version, ...(description === undefined ? undefined : { description }) },
    ...(servers === undefined ? undefined : { servers: serversOf(servers) }),
    channels: Object.fromEntries(described.map(({ key, channel }) => [key, channel])),
    operations: Object.fromEntries(described.flatMap(({ operations }) => operations)),
  };
}

/** Each contract once. */
function distinct(contracts: readonly unknown[], describer: Describer): DescribedContract[] {
  const found = new Map<string, DescribedContract[]>();
  return contracts.filter((contract): contract is DescribedContract => {
    if (isDelays(contract)) return false;
    if (!isDescribed(contract)) {
      const expected = 'contracts made by queue(), exchange(), procedure() or exchange.subscription()';
      throw new ConfigurationError('contracts', `asyncapi(…): expected ${expected}, got ${show(contract)}`);
    }
    const place = `${contract.kind} '${nameOf(contract)}'`;
    const others = found.get(place) ?? [];
    if (others.some((other) => isSame(other, contract, describer))) return false;
    // One exchange can have several subscriptions.
    if (others.length > 0 && contract.kind !== 'subscription') {
      throw new ConfigurationError(
        'contracts',
        `asyncapi(…): there are two different contracts of the ${place}`,
      );
    }
    found.set(place, [...others, contract]);
    return true;
  });
}

function isDescribed(contract: unknown): contract is DescribedContract {
  return isQueue(contract) || isExchange(contract) || isProcedure(contract) || isSubscription(contract);
}

function nameOf(contract: DescribedContract): string {
  return contract.kind === 'subscription' ? contract.exchange : contract.name;
}

/**
 * True when the two describe the same on the server and in their messages. A schema that cannot be converted only equals
 * itself.
 */
function isSame(one: DescribedContract, other: DescribedContract, describer: Describer): boolean {
  if (one === other) return true;
  const [first, second] = [describer.describe(one, 'key'), describer.describe(other, 'key')];
  if (JSON.stringify([dataOf(one), first]) !== JSON.stringify([dataOf(other), second])) return false;
  const isConverted = Object.values(first.channel.messages).every(
    (message) => message['x-leveret-schema'] === undefined,
  );
  return isConverted || schemasOf(one).every((schema, index) => schema === schemasOf(other)[index]);
}

/** The contract's data without its schema. */
function dataOf(contract: DescribedContract): unknown {
  switch (contract.kind) {
    case 'queue':
      return [contract.declare, contract.arguments];
    case 'exchange': {
      const { declare, internal, alternateExchange, bindings, arguments: args } = contract;
      return [declare, internal, nameOfExchange(alternateExchange), bindings.map(bindingOf), args];
    }
    case 'procedure':
      return dataOf(contract.queue);
    case 'subscription':
      return dataOf(contract.toQueue());
  }
}

function nameOfExchange(exchange: Binding['exchange'] | undefined): string | undefined {
  return typeof exchange === 'object' ? exchange.name : exchange;
}

function schemasOf(contract: DescribedContract): readonly unknown[] {
  return contract.kind === 'procedure' ? [contract.request, contract.response] : [contract.schema];
}
