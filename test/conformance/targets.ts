import { inject } from 'vitest';
import { createVhost } from '../helpers/server/index.js';

/** The versions whose behaviour differs. */
export type Family = '3.13' | '4.0' | '4.3';

/** Something that the suite runs against: fresh and empty for each case. */
export interface Target extends AsyncDisposable {
  /** What to give to `Broker.connect`. */
  readonly url: string;
  readonly family: Family;
  readonly isEmbedded: boolean;
}

/** Something to run the suite against. */
export interface TargetKind {
  readonly name: string;
  open(): Promise<Target>;
}

let count = 0;

const embedded = (family: Family): TargetKind => ({
  name: `memory as ${family}`,
  open: async () => ({
    url: `memory://case-${++count}?as=${family}`,
    family,
    isEmbedded: true,
    [Symbol.asyncDispose]: async () => {},
  }),
});

const rabbitmq: TargetKind = {
  name: 'RabbitMQ',
  open: async () => {
    const vhost = await createVhost();
    return {
      url: vhost.url,
      family: familyOf(inject('server').version),
      isEmbedded: false,
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
