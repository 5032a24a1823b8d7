import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { ManagementApi, PrivateServer } from '../../helpers/server/index.js';
import type { Direction } from '../../helpers/tcp-proxy.js';
import { now } from './journal.js';
import type { Network } from './network.js';
import type { Random } from './random.js';

/** What a fault may lay hands on. */
export interface Scene {
  readonly server: PrivateServer;
  /** Acts in the virtual host of the workload. */
  readonly management: ManagementApi;
  readonly network: Network;
  readonly random: Random;
  /** Ends a consumer's process and starts another one. */
  replaceConsumer(how: 'killed' | 'told to end'): Promise<void>;
}

/** Breaks something and mends it. Resolves, with the time of it, when the server can be reached again. */
type Fault = (scene: Scene) => Promise<number>;

const directions: readonly Direction[] = ['to-server', 'to-client'];

/** The network does something for a while, and is healed. */
function forAWhile(fromMs: number, toMs: number, what: (scene: Scene) => unknown): Fault {
  return async (scene) => {
    await what(scene);
    await delay(scene.random.integer(fromMs, toMs));
    return healed(scene);
  };
}

async function healed({ network }: Scene): Promise<number> {
  await network.heal();
  return now();
}

/** Waits for what the next bytes set off. Too few may come: then nothing happens. */
async function armed(scene: Scene): Promise<number> {
  const giveUpAt = now() + 1_500;
  while (scene.network.isArmed && now() < giveUpAt) await delay(5);
  return healed(scene);
}

/** Ends the server and starts it again. Clients are refused meanwhile, as they are without a proxy. */
async function restart(scene: Scene, end: (server: PrivateServer) => Promise<void>): Promise<number> {
  const { server, network } = scene;
  await end(server);
  await network.proxy.refuse(true);
  network.proxy.cutAll();
  const started = server.start();
  await portOpens(new URL(server.url), started);
  const at = await healed(scene);
  await started;
  return at;
}

/** Resolves when the port takes connections, or the server is up at the latest. */
async function portOpens({ hostname, port }: URL, started: Promise<void>): Promise<void> {
  let isUp = false;
  void started.then(() => {
    isUp = true;
  });
  while (!isUp) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(Number(port), hostname)
        .once('connect', () => {
          socket.destroy();
          resolve(true);
        })
        .once('error', () => resolve(false));
    });
    if (isOpen) return;
    await delay(5);
  }
}

function crashQueue(queue: string, how: string): Fault {
  return async ({ server, management }) => {
    const name = `rabbit_misc:r(<<"${management.vhost}">>, queue, <<"${queue}">>)`;
    await server.ctl('eval', `{ok, Q} = rabbit_amqqueue:lookup(${name}), ${how}.`);
    return now();
  };
}

/** 3.10 gives up a member that crashes again while it starts: then it has to be started. */
export const crashQuorum =
  '{N, _} = Id = amqqueue:get_pid(Q), [exit(P, kill) || P <- [whereis(N)], is_pid(P)], timer:sleep(1000), ' +
  'is_pid(whereis(N)) orelse ra:restart_server(quorum_queues, Id)';

/** Every fault, by its name, with how often it is to come. */
const catalogue = {
  'every connection is reset': [
    8,
    async (scene) => {
      scene.network.proxy.cutAll();
      return now();
    },
  ],
  'one connection is reset': [
    8,
    async (scene) => {
      const { proxy } = scene.network;
      proxy.cut(scene.random.integer(Math.max(1, proxy.accepted - 5), proxy.accepted));
      return now();
    },
  ],
  'every connection ends in order': [
    4,
    async (scene) => {
      scene.network.proxy.endAll();
      return now();
    },
  ],
  'the port refuses, and connections are reset': [
    6,
    forAWhile(100, 1_500, async ({ network }) => {
      await network.proxy.refuse(true);
      network.proxy.cutAll();
    }),
  ],
  'a reset after some bytes': [
    10,
    async (scene) => {
      const { network, random } = scene;
      network.cutAfter(random.pick(directions), random.integer(1, 20_000));
      return armed(scene);
    },
  ],
  'a reset in the handshake or set-up': [
    10,
    async (scene) => {
      const { network, random } = scene;
      network.proxy.cutAll();
      network.cutAfter(random.pick(directions), random.integer(1, 3_000));
      return armed(scene);
    },
  ],
  'resets in quick succession': [
    4,
    async (scene) => {
      for (let left = scene.random.integer(2, 6); left > 0; left--) {
        scene.network.proxy.cutAll();
        await delay(scene.random.integer(10, 200));
      }
      scene.network.proxy.cutAll();
      return now();
    },
  ],
  'a corrupt frame': [
    4,
    async (scene) => {
      scene.network.corruptNext(scene.random.pick(directions));
      return armed(scene);
    },
  ],
  'a short black hole': [5, forAWhile(100, 1_500, ({ network }) => network.proxy.blackhole(true))],
  'a long black hole': [3, forAWhile(3_500, 5_000, ({ network }) => network.proxy.blackhole(true))],
  'nothing comes back': [4, forAWhile(500, 3_500, ({ network }) => network.proxy.blackhole('to-client'))],
  'nothing comes back, then a reset': [
    6,
    async (scene) => {
      scene.network.proxy.blackhole('to-client');
      await delay(scene.random.integer(50, 800));
      scene.network.proxy.cutAll();
      return healed(scene);
    },
  ],
  'nothing arrives, then a reset': [
    6,
    async (scene) => {
      scene.network.proxy.blackhole('to-server');
      await delay(scene.random.integer(50, 800));
      scene.network.proxy.cutAll();
      return healed(scene);
    },
  ],
  'nothing arrives': [4, forAWhile(500, 3_500, ({ network }) => network.proxy.blackhole('to-server'))],
  'open connections freeze': [
    4,
    async (scene) => {
      const { proxy } = scene.network;
      proxy.freeze();
      // The programs find out by their heartbeat, and come back beside what the server holds for alive.
      await delay(scene.random.integer(2_500, 4_500));
      return healed(scene);
    },
  ],
  'a slow network': [
    4,
    forAWhile(500, 2_000, ({ network, random }) => network.proxy.delay(random.integer(20, 200))),
  ],
  'a thin network': [
    3,
    forAWhile(500, 2_000, ({ network, random }) => network.proxy.throttle(random.integer(5_000, 100_000))),
  ],
  'a sliced network': [4, forAWhile(300, 1_000, ({ network }) => network.slice(true))],
  'the server closes every connection': [
    4,
    async ({ management }) => {
      const connections = await management.connections();
      await Promise.all(
        connections.map(({ name }) => management.closeConnection(name).catch(() => undefined)),
      );
      return now();
    },
  ],
  'the server stands still': [
    4,
    async (scene) => {
      await scene.server.pause();
      await delay(scene.random.integer(200, 3_500));
      await scene.server.unpause();
      return now();
    },
  ],
  'the server is killed': [2, (scene) => restart(scene, (server) => server.kill())],
  'the server is restarted': [1, (scene) => restart(scene, (server) => server.shutdown())],
  'the memory alarm': [
    2,
    async ({ server, random }) => {
      await server.ctl('set_vm_memory_high_watermark', '0');
      await delay(random.integer(200, 1_500));
      await server.ctl('set_vm_memory_high_watermark', '0.6');
      return now();
    },
  ],
  'the process of a classic queue crashes': [2, crashQueue('jobs', 'exit(amqqueue:get_pid(Q), kill)')],
  'the process of a quorum queue crashes': [2, crashQueue('work', crashQuorum)],
  'a consumer is killed': [
    4,
    async (scene) => {
      await scene.replaceConsumer('killed');
      return now();
    },
  ],
  'a consumer is told to end': [
    2,
    async (scene) => {
      await scene.replaceConsumer('told to end');
      return now();
    },
  ],
} as const satisfies Readonly<Record<string, readonly [weight: number, fault: Fault]>>;

export type FaultName = keyof typeof catalogue;
export const faultNames = Object.keys(catalogue) as FaultName[];

/** Draws one, the frequent ones more often. */
export function drawFault(random: Random): FaultName {
  const total = faultNames.reduce((sum, name) => sum + catalogue[name][0], 0);
  let left = random.next() * total;
  for (const name of faultNames) {
    left -= catalogue[name][0];
    if (left < 0) return name;
  }
  return 'every connection is reset';
}

/** Lets one happen. Resolves with the time from which on everything can be reached. */
export function happen(name: FaultName, scene: Scene): Promise<number> {
  return catalogue[name][1](scene);
}
