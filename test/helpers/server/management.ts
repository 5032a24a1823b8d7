/** What the tests read of a queue. The server updates its counters only every few seconds: see `queueCounts` for live ones. */
export interface QueueInfo {
  readonly name: string;
  readonly type?: string;
  readonly durable: boolean;
  readonly exclusive: boolean;
  readonly auto_delete: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
  readonly policy?: string;
  readonly consumers?: number;
  readonly messages?: number;
}

export interface ExchangeInfo {
  readonly name: string;
  readonly type: string;
  readonly durable: boolean;
  readonly auto_delete: boolean;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface BindingInfo {
  readonly source: string;
  readonly destination: string;
  readonly destination_type: 'queue' | 'exchange';
  readonly routing_key: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface ConnectionInfo {
  readonly name: string;
  readonly user: string;
  readonly vhost: string;
  /** Absent until the server has gathered it. */
  readonly state?: string;
  readonly timeout?: number;
  readonly client_properties?: Readonly<Record<string, unknown>>;
}

export interface ChannelInfo {
  readonly name: string;
  readonly number: number;
  readonly confirm?: boolean;
  readonly prefetch_count?: number;
  readonly consumer_count?: number;
  readonly connection_details: { readonly name: string };
}

export interface ConsumerInfo {
  readonly consumer_tag: string;
  readonly queue: { readonly name: string };
  readonly ack_required: boolean;
  readonly exclusive: boolean;
  readonly prefetch_count: number;
  readonly arguments: Readonly<Record<string, unknown>>;
}

export interface Permissions {
  readonly configure?: string;
  readonly write?: string;
  readonly read?: string;
}

export interface Policy {
  /** Regular expression over names. */
  readonly pattern: string;
  readonly definition: Readonly<Record<string, unknown>>;
  readonly applyTo?: 'all' | 'queues' | 'exchanges' | 'quorum_queues' | 'classic_queues' | 'streams';
  readonly priority?: number;
}

/** A small client of RabbitMQ's management HTTP API, for one virtual host. */
export class ManagementApi {
  readonly vhost: string;
  /** The user it acts as. */
  readonly username: string;
  readonly #url: string;
  readonly #origin: string;
  readonly #authorization: string;

  constructor(url: string, vhost = '/') {
    const { origin, pathname, username, password } = new URL(url);
    this.vhost = vhost;
    this.username = decodeURIComponent(username) || 'guest';
    this.#url = url;
    this.#origin = origin + pathname.replace(/\/$/, '');
    const secret = decodeURIComponent(password) || 'guest';
    this.#authorization = `Basic ${Buffer.from(`${this.username}:${secret}`).toString('base64')}`;
  }

  /** The same server and user, another virtual host. */
  in(vhost: string): ManagementApi {
    return new ManagementApi(this.#url, vhost);
  }

  async version(): Promise<string> {
    const overview = await this.request<{ rabbitmq_version: string }>('GET', 'overview');
    return overview.rabbitmq_version;
  }

  /** Creates the virtual host and gives this user every right in it. */
  async createVhost(options?: { readonly default_queue_type: string }): Promise<void> {
    await this.request('PUT', `vhosts/${this.#encodedVhost}`, options);
    await this.setPermissions(this.username, { configure: '.*', write: '.*', read: '.*' });
  }

  async deleteVhost(): Promise<void> {
    await this.request('DELETE', `vhosts/${this.#encodedVhost}`);
  }

  /** Bounds the virtual host, such as `('max-connections', 1)`. */
  async setVhostLimit(limit: 'max-connections' | 'max-queues', value: number): Promise<void> {
    await this.request('PUT', `vhost-limits/${this.#encodedVhost}/${limit}`, { value });
  }

  /** Creates a user or changes its password. It may do nothing until it has permissions. */
  async createUser(name: string, password: string, permissions?: Permissions): Promise<void> {
    await this.request('PUT', `users/${encodeURIComponent(name)}`, { password, tags: '' });
    if (permissions) await this.setPermissions(name, permissions);
  }

  async deleteUser(name: string): Promise<void> {
    await this.request('DELETE', `users/${encodeURIComponent(name)}`);
  }

  /** What is left out is denied. */
  async setPermissions(user: string, permissions: Permissions): Promise<void> {
    const { configure = '^$', write = '^$', read = '^$' } = permissions;
    await this.request('PUT', `permissions/${this.#encodedVhost}/${encodeURIComponent(user)}`, {
      configure,
      write,
      read,
    });
  }

  async clearPermissions(user: string): Promise<void> {
    await this.request('DELETE', `permissions/${this.#encodedVhost}/${encodeURIComponent(user)}`);
  }

  queues(): Promise<QueueInfo[]> {
    return this.request('GET', `queues/${this.#encodedVhost}`);
  }

  queue(name: string): Promise<QueueInfo> {
    return this.request('GET', `queues/${this.#encodedVhost}/${encodeURIComponent(name)}`);
  }

  async deleteQueue(name: string): Promise<void> {
    await this.request('DELETE', `queues/${this.#encodedVhost}/${encodeURIComponent(name)}`);
  }

  exchanges(): Promise<ExchangeInfo[]> {
    return this.request('GET', `exchanges/${this.#encodedVhost}`);
  }

  bindings(): Promise<BindingInfo[]> {
    return this.request('GET', `bindings/${this.#encodedVhost}`);
  }

  connections(): Promise<ConnectionInfo[]> {
    return this.request('GET', `vhosts/${this.#encodedVhost}/connections`);
  }

  channels(): Promise<ChannelInfo[]> {
    return this.request('GET', `vhosts/${this.#encodedVhost}/channels`);
  }

  consumers(): Promise<ConsumerInfo[]> {
    return this.request('GET', `consumers/${this.#encodedVhost}`);
  }

  /** Has the server close a connection, by the name it is listed under: the client sees a 320. */
  async closeConnection(name: string, reason = 'closed by a test'): Promise<void> {
    await this.request('DELETE', `connections/${encodeURIComponent(name)}`, undefined, {
      'X-Reason': reason,
    });
  }

  async putPolicy(name: string, policy: Policy): Promise<void> {
    await this.request('PUT', `policies/${this.#encodedVhost}/${encodeURIComponent(name)}`, {
      pattern: policy.pattern,
      definition: policy.definition,
      'apply-to': policy.applyTo ?? 'all',
      priority: policy.priority ?? 0,
    });
  }

  async deletePolicy(name: string): Promise<void> {
    await this.request('DELETE', `policies/${this.#encodedVhost}/${encodeURIComponent(name)}`);
  }

  /** Any other request. `path` is what follows `/api/`, its parts already encoded. */
  async request<Result = undefined>(
    method: 'GET' | 'PUT' | 'POST' | 'DELETE',
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Result> {
    const what = `${method} ${this.#origin}/api/${path}`;
    const response = await fetch(`${this.#origin}/api/${path}`, {
      method,
      headers: { authorization: this.#authorization, 'content-type': 'application/json', ...headers },
      signal: AbortSignal.timeout(30_000),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((error: unknown) => {
      throw new Error(`${what} got no answer.`, { cause: error });
    });
    const text = await response.text();
    if (!response.ok)
      throw new Error(`${what} failed with ${response.status} ${response.statusText}: ${text}`);
    return (text === '' ? undefined : JSON.parse(text)) as Result;
  }

  get #encodedVhost(): string {
    return encodeURIComponent(this.vhost);
  }
}
