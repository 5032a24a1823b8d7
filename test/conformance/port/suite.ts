import { describe, it } from 'vitest';
import { type Target, targets } from '../targets.js';
import { Peer } from './peer.js';

export type PortCase = (peer: Peer, target: Target) => Promise<void>;

/** Runs cases against every target, each in a virtual host of its own. */
export function suite(title: string, cases: Readonly<Record<string, PortCase>>): void {
  for (const kind of targets) {
    describe(`${kind.name}: ${title}`, () => {
      for (const [name, run] of Object.entries(cases)) {
        it(name, async () => {
          await using target = await kind.open();
          await using peer = new Peer(target);
          await run(peer, target);
        });
      }
    });
  }
}
