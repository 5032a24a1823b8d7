import type { InjectionToken } from '@nestjs/common';
import { Broker, type ExchangeContract, type ProcedureContract, type QueueContract } from '../index.js';
import { checkKind } from './check-kind.js';

/** The name of a broker without a name. */
export const DEFAULT_BROKER = 'default';

/** The injection token of a broker: for the default one the class `Broker` itself. */
export function getBrokerToken(broker: string = DEFAULT_BROKER): InjectionToken<Broker> {
  return broker === DEFAULT_BROKER ? Broker : tokenOf('Broker', broker);
}

/** The injection token of the producer for a queue or an exchange, in the modules that name it in `forFeature`. */
export function getProducerToken(
  contract: QueueContract | ExchangeContract,
  broker: string = DEFAULT_BROKER,
): string {
  checkKind('contract', 'getProducerToken', contract, ['queue', 'exchange']);
  return tokenOf('Producer', broker, contract);
}

/** The injection token of the requester for a procedure, in the modules that name it in `forFeature`. */
export function getRequesterToken(procedure: ProcedureContract, broker: string = DEFAULT_BROKER): string {
  checkKind('procedure', 'getRequesterToken', procedure, ['procedure']);
  return tokenOf('Requester', broker, procedure);
}

/** @internal The token of the host of a broker. */
export function hostToken(broker: string): string {
  return tokenOf('Host', broker);
}

/** @internal The token of the options of a broker. */
export function settingsToken(broker: string): string {
  return tokenOf('Settings', broker);
}

/** A text, because Nest shows tokens in its errors, and the same text for a contract that was loaded twice. */
function tokenOf(role: string, broker: string, contract?: { readonly kind: string; readonly name: string }) {
  const of = contract ? `${contract.kind} ${JSON.stringify(contract.name)}, ` : '';
  const text = `Leveret${role}(${of}broker ${JSON.stringify(broker)})`;
  return contract ? `${text} of ${featureOf(broker)}` : text;
}

/** Where the token comes from: for those who read in Nest's error that the token is unknown. */
function featureOf(broker: string): string {
  const options = broker === DEFAULT_BROKER ? '' : `, { broker: ${JSON.stringify(broker)} }`;
  return `LeveretModule.forFeature([…]${options})`;
}
