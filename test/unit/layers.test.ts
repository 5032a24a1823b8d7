import { readdirSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../src/', import.meta.url));

/** The files that all may use. */
const common = [
  ...['clock', 'deadlines', 'deferred', 'errors', 'events', 'fifo', 'headers', 'internals', 'options'],
  ...['signals', 'version', 'transport/port'],
];

/** What the files of a folder may use beside each other and those. One file can have a rule of its own. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  asyncapi: ['contracts', 'asyncapi/html/page'],
  'asyncapi/html': [],
  contracts: ['delay/levels'],
  'transport/memory': [],
  'transport/rabbitmq': ['transport/answer-limit'],
  'transport/select': ['transport/memory', 'transport/rabbitmq'],
  transport: ['contracts/topology'],
  delay: ['contracts', 'transport'],
  producer: ['contracts', 'delay', 'transport'],
  consumer: ['contracts', 'delay', 'transport', 'producer/outbox'],
  'dead-letters': ['contracts', 'transport', 'producer', 'consumer', 'administration', 'members'],
  rpc: ['contracts', 'transport', 'producer', 'consumer', 'members'],
  testing: [
    ...['contracts', 'delay', 'consumer', 'dead-letters', 'transport/memory'],
    ...['broker', 'broker-health', 'broker-options'],
  ],
};

const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .map((name) => name.replaceAll('\\', '/'))
  .filter((name) => name.endsWith('.ts') && name.includes('/'))
  .map((name) => name.slice(0, -'.ts'.length));

const isIn = (file: string, place: string) => file === place || posix.dirname(file) === place;

function importsOf(file: string): string[] {
  const code = readFileSync(`${folder}${file}.ts`, 'utf8');
  const paths = [...code.matchAll(/from '(\.[^']+)\.js'/g)].map(([, path = '']) => path);
  return paths.map((path) => posix.join(posix.dirname(file), path));
}

/** What a file uses and may not. */
function strangers(file: string, imports: readonly string[]): string[] {
  const here = posix.dirname(file);
  const places = [here, ...common, ...(allowed[file] ?? allowed[here] ?? [])];
  return imports.filter((path) => !places.some((place) => isIn(path, place)));
}

describe('the layers of the source', () => {
  it('are kept', () => {
    const wrong = files.map((file) => [file, strangers(file, importsOf(file))] as const);
    expect(Object.fromEntries(wrong.filter(([, imports]) => imports.length > 0))).toEqual({});
  });

  it('are looked at', () => {
    expect(importsOf('consumer/session')).toContain('transport/port');
    expect(strangers('producer/outbox', ['consumer/consumer', 'transport/memory/server', 'errors'])).toEqual([
      'consumer/consumer',
      'transport/memory/server',
    ]);
  });
});
