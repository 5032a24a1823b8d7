import { expect } from 'vitest';
import { classify, type Failure } from '../../../src/transport/failures.js';
import type { Peer, Probe } from './peer.js';
import { suite } from './suite.js';

/** What a server refuses, each on a channel of its own, and what the refusal means. */
const refusals: Readonly<Record<string, readonly [failure: Failure, act: Act]>> = {
  'a queue that does not exist': ['missing', ({ probe }) => probe.channel.checkQueue('nowhere')],
  'an exchange that does not exist': ['missing', ({ probe }) => probe.channel.checkExchange('nowhere')],
  'a queue with a name of the server': ['access', ({ probe }) => probe.queue('amq.mine')],
  'a queue that exists with other arguments': [
    'mismatch',
    async ({ probe }) => {
      await probe.queue('q');
      await probe.queue('q', { 'x-max-length': 5 });
    },
  ],
  'an argument that no queue can have': [
    'mismatch',
    ({ probe }) => probe.queue('q', { 'x-message-ttl': -1 }),
  ],
  'a queue that another consumer has for itself': [
    'exclusive',
    async ({ peer, probe }) => {
      await probe.queue('q');
      await probe.consume('q', 0, { exclusive: true });
      await (await peer.channel()).consume('q');
    },
  ],
  'an exclusive queue of another connection': [
    'locked',
    async ({ peer, probe }) => {
      await probe.queue('q', {}, { exclusive: true });
      await (await peer.channel()).channel.checkQueue('q');
    },
  ],
};

type Act = (given: { readonly peer: Peer; readonly probe: Probe }) => Promise<unknown>;

suite(
  'the class of a refusal',
  Object.fromEntries(
    Object.entries(refusals).map(([what, [failure, act]]) => [
      `is the same for ${what}`,
      async (peer: Peer) => {
        const refused = act({ peer, probe: await peer.channel() }).then(
          () => 'done',
          (error: unknown) => classify(error),
        );
        expect(await refused).toBe(failure);
      },
    ]),
  ),
);
