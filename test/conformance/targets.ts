import { inject } from 'vitest';
import { MemoryTransport } from '../../src/transport/memory/transport.js';
import { systemClock } from '../../src/util/clock.js';
import { createVhost } from '../helpers/server/index.js';
import { TcpProxy } from '../helpers/tcp-proxy.js';

/** The versions whose behaviour differs. */
export type Family = '3.13' | '4.0' | '4.3';

/** Something that the suite runs against: fresh and empty for each case. */
export interface Target extends AsyncDisposable {
  /** What to give to `Broker.connect`. */
  readonly url: string;
  readonly family: Family;
  readonly isEmbedded: boolean;
  /** A way to the same place that fails on command. */
  breakable(): Promise<Breakable>;
}

export interface Breakable extends AsyncDisposable {
  readonly url: string;
  /** Cuts every connection that goes this way; the next ones succeed. */
  cut(): void;
}

/** Something to run the suite against. */
export interface TargetKind {
  readonly name: string;
  open(options?: TargetOptions): Promise<Target>;
}

export interface TargetOptions {
  /** What the administrator makes of queues that are declared without a type. RabbitMQ 3.10 has no such setting. */
  readonly defaultQueueType?: 'quorum';
}

let count = 0;

const embedded = (family: Family): TargetKind => ({
  name: `memory as ${family}`,
  open: async ({ defaultQueueType } = {}) => {
    const defaults = defaultQueueType ? `&defaultQueueType=${defaultQueueType}` : '';
    const url = `memory://case-${++count}?as=${family}${defaults}`;
    const cut = () => {
      for (const link of [...MemoryTransport.at(url, systemClock).server.links])
        link.drop(new Error('the connection was cut'));
    };
    const nothing = async () => {};
    return {
      url,
      family,
      isEmbedded: true,
      breakable: async () => ({ url, cut, [Symbol.asyncDispose]: nothing }),
      [Symbol.asyncDispose]: nothing,
    };
  },
});

const rabbitmq: TargetKind = {
  name: 'RabbitMQ',
  open: async ({ defaultQueueType } = {}) => {
    const vhost = await createVhost(undefined, defaultQueueType && { default_queue_type: defaultQueueType });
    return {
      url: vhost.url,
      family: familyOf(inject('server').version),
      isEmbedded: false,
      breakable: async () => {
        const proxy = await TcpProxy.listen(vhost.url);
        return {
          url: proxy.via(vhost.url),
          cut: () => proxy.cutAll(),
          [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
        };
      },
      [Symbol.asyncDispose]: () => vhost[Symbol.asyncDispose](),
    };
  },
};

function familyOf(version: string): Family {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < 4) return '3.13';
  return major === 4 && minor < 3 ? '4.0' : '4.3';
}

/** Everything that each case runs against. */
export const targets: readonly TargetKind[] = [embedded('3.13'), embedded('4.0'), embedded('4.3'), rabbitmq];
