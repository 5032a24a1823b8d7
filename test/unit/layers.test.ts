import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../src/', import.meta.url));

/**
 * The layers of the source, the lowest first: a folder or a file, with all that is in it. A file belongs to the longest entry
 * that it begins with. It may import from its own layer, from lower ones, and nothing else.
 */
const layers: readonly (readonly string[])[] = [
  ['errors', 'version'],
  ['util'],
  ['transport/port'],
  ['transport/failures'],
  ['diagnostics'],
  ['transport/rabbitmq', 'transport/memory'],
  ['transport'],
  ['contracts'],
  ['declarations'],
  ['messages'],
  ['events'],
  ['event-emitter'],
  ['delay'],
  ['producer'],
  ['consumer/limits', 'consumer/thrown-verdicts', 'consumer/options/stream-offset'],
  ['consumer/session'],
  ['consumer/delivery'],
  ['consumer/options', 'consumer/settlement'],
  ['consumer/workers'],
  ['outbox', 'consumer'],
  ['rpc/failure', 'rpc/target'],
  // The two sides of a procedure.
  ['rpc/requester', 'rpc/responder'],
  ['rpc', 'dead-letters', 'inbox'],
  ['idempotency'],
  // The user's own clients are known by their shapes: none is imported, here or anywhere.
  ['broker', 'postgres', 'redis'],
  ['asyncapi', 'opentelemetry', 'testing/index', 'testing', 'index'],
  ['nestjs'],
  // The command, on which nothing stands.
  ['cli'],
];

/** Layers that know nothing of those below them but these. */
const closed: Readonly<Record<string, readonly string[]>> = {
  'transport/rabbitmq': ['errors', 'util', 'transport/port', 'transport/failures'],
  'transport/memory': ['errors', 'util', 'transport/port'],
};

/** Who may import the two transports. */
const hidden: Readonly<Record<string, readonly string[]>> = {
  'transport/rabbitmq': ['transport/make-transport', 'cli/server-address'],
  'transport/memory': ['transport/make-transport', 'testing', 'cli/doctor/routing'],
};

const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length));

const isIn = (file: string, place: string) => file === place || file.startsWith(`${place}/`);

/** The entry of `layers` that a file belongs to. */
function placeOf(file: string): string | undefined {
  return layers
    .flat()
    .filter((place) => isIn(file, place))
    .sort((a, b) => b.length - a.length)[0];
}

const levelOf = (place: string) => layers.findIndex((layer) => layer.includes(place));

function importsOf(file: string): string[] {
  const code = readFileSync(`${folder}${file}.ts`, 'utf8');
  const paths = [...code.matchAll(/(?:from |import\()'(\.[^']+)\.js'/g)].map(([, path = '']) => path);
  return paths.map((path) => posix.join(posix.dirname(file), path));
}

/** Why a file may not import another; undefined: it may. */
function complaint(file: string, imported: string): string | undefined {
  const from = placeOf(file);
  const to = placeOf(imported);
  if (from === undefined || to === undefined) return `${from === undefined ? file : imported} is in no layer`;
  if (from === to) return undefined;
  if (levelOf(to) > levelOf(from)) return `${imported} is above ${file}`;
  const siblings = levelOf(to) === levelOf(from);
  if (siblings && !['errors', 'testing', 'testing/index', 'index'].includes(from))
    return `${imported} is beside ${file}`;
  if (closed[from] && !closed[from].includes(to)) return `${from} knows nothing of ${to}`;
  if (hidden[to] && !hidden[to].some((place) => isIn(file, place))) return `${to} is hidden from ${file}`;
  return undefined;
}

/** The files that import each other in a circle, types included. */
function circles(graph: ReadonlyMap<string, readonly string[]>): string[] {
  const reached = new Map([...graph.keys()].map((file) => [file, reach(file, graph)]));
  return [...graph.keys()].filter((file) => reached.get(file)?.has(file));
}

/** Everything that a file imports, and what that imports. */
function reach(file: string, graph: ReadonlyMap<string, readonly string[]>): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [...(graph.get(file) ?? [])];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue;
    found.add(next);
    open.push(...(graph.get(next) ?? []));
  }
  return found;
}

describe('the layers of the source', () => {
  it('are kept', () => {
    const complaints = files.flatMap((file) =>
      importsOf(file)
        .map((imported) => complaint(file, imported))
        .filter((text) => text !== undefined),
    );
    expect(complaints).toEqual([]);
  });

  it('are looked at', () => {
    expect(importsOf('consumer/session/session')).toContain('transport/port');
    expect(complaint('producer/producer', 'consumer/consumer')).toMatch(/above/);
    expect(complaint('producer/producer', 'transport/memory/server')).toMatch(/hidden/);
    expect(complaint('transport/memory/server', 'contracts/queue')).toMatch(/above/);
    expect(complaint('rpc/procedures', 'dead-letters/operations')).toMatch(/beside/);
    expect(complaint('consumer/session/session', 'consumer/delivery/message')).toMatch(/above/);
    expect(complaint('rpc/requester/requester', 'rpc/responder/reply')).toMatch(/beside/);
    expect(complaint('elsewhere/file', 'errors')).toMatch(/no layer/);
    expect(complaint('producer/producer', 'errors')).toBeUndefined();
  });

  it('have no circle, not even of types', () => {
    expect(circles(new Map(files.map((file) => [file, importsOf(file)])))).toEqual([]);
  });

  it('would show a circle', () => {
    const graph = new Map([
      ['a', ['b']],
      ['b', ['c']],
      ['c', ['b']],
    ]);

    expect(circles(graph)).toEqual(['b', 'c']);
  });
});
