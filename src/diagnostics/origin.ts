import type { BrokerFields } from './payloads.js';

/** The origin of one broker's traces, for one of its connections. */
export class TraceOrigin {
  readonly #broker: string | undefined;
  readonly #address: () => string | undefined;
  #latest: { readonly address: string | undefined; readonly fields: BrokerFields } | undefined;

  /**
   * @param broker - the name of the broker
   * @param address - returns the address of the open connection, or the first one to be tried
   */
  constructor(broker: string | undefined, address: () => string | undefined) {
    this.#broker = broker;
    this.#address = address;
  }

  /** The fields of every payload that identify its broker. */
  get fields(): BrokerFields {
    const address = this.#address();
    if (this.#latest?.address !== address || !this.#latest) {
      this.#latest = { address, fields: fieldsOf(this.#broker, address) };
    }
    return this.#latest.fields;
  }
}

/** @param address - in the form that transports use: a URL without secrets; for a malformed URL a text */
export function fieldsOf(broker: string | undefined, address: string | undefined): BrokerFields {
  if (address === undefined || !URL.canParse(address)) {
    return { broker, serverAddress: undefined, serverPort: undefined };
  }
  const { protocol, hostname, port } = new URL(address);
  if (protocol === 'memory:') return { broker, serverAddress: 'memory', serverPort: undefined };
  return {
    broker,
    serverAddress: hostname.replace(/^\[|\]$/g, ''),
    serverPort: port === '' ? undefined : Number(port),
  };
}
