import type { BrokerFields } from './payloads.js';

/** Where the traces of one broker come from, over one of its connections. */
export class TraceOrigin {
  readonly #broker: string | undefined;
  readonly #address: () => string | undefined;
  #latest: { readonly address: string | undefined; readonly fields: BrokerFields } | undefined;

  /**
   * @param broker - the name of the broker
   * @param address - the address of the connection that is open, otherwise the first that will be tried
   */
  constructor(broker: string | undefined, address: () => string | undefined) {
    this.#broker = broker;
    this.#address = address;
  }

  /** What every payload says of its broker. */
  get fields(): BrokerFields {
    const address = this.#address();
    if (this.#latest?.address !== address || !this.#latest) {
      this.#latest = { address, fields: fieldsOf(this.#broker, address) };
    }
    return this.#latest.fields;
  }
}

/** @param address - as transports write it: a URL without secrets; for a malformed URL a text */
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
