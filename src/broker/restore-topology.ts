import { declarerOf, type Restored } from '../declarations/declarer.js';
import type { Events } from '../event-emitter.js';
import type { Connections } from './connections.js';
import type { Registry } from './registry.js';

/**
 * Reacts to a queue or exchange that had disappeared and was declared again. An exchange comes back without its bindings, so
 * this broker's consumers are bound to it again. Never rejects: a consumer whose queue cannot be declared reports its own
 * reason.
 *
 * @param found - what was missing and is reported
 */
export async function restoreTopology(
  { kind, name }: Restored,
  found: readonly Restored[],
  connections: Connections,
  registry: Registry,
  events: Events,
): Promise<void> {
  const report = (restored: readonly Restored[]) => {
    for (const it of restored) events.emit('topology-restored', { kind: it.kind, name: it.name });
  };
  const link = connections.consume.current;
  // Without a link, the consumers declare everything on the next one.
  if (kind === 'exchange' && link) {
    const declarer = declarerOf(link);
    const onRestored = (restored: Restored) => report([restored]);
    const restored = registry
      .consumersOn(name)
      .map(({ contract }) => declarer.declare(contract, { again: true, onRestored }));
    await Promise.allSettled(restored);
  }
  report(found);
}
