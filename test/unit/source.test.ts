import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('../../src/', import.meta.url));
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);

/** The program without its comments. */
const code = (name: string) =>
  readFileSync(`${folder}${name}`, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');

/** Code that would run text as a program, or load a module by a computed name. */
const forbidden: readonly (readonly [what: string, pattern: RegExp])[] = [
  ['eval', /\beval\s*\(/],
  ['the constructor of functions', /\bnew\s+Function\b|(?<!\.prototype\.)\bFunction\s*\(/],
  ['node:vm', /['"](?:node:)?vm['"]/],
  ['node:child_process', /['"](?:node:)?child_process['"]/],
  ['require', /\brequire\s*\(|\bcreateRequire\b/],
  ['an import of something that is not written there', /\bimport\s*\(\s*(?!['"][^'"]+['"]\s*\))/],
  ['a timer that takes a text', /\bset(?:Timeout|Interval)\s*\(\s*['"`]/],
  ['unchecked certificates', /rejectUnauthorized|NODE_TLS_REJECT_UNAUTHORIZED|checkServerIdentity/],
];

/** The command imports the modules of contracts that its user names. */
const isMeant = (name: string, pattern: RegExp) =>
  name === 'cli/contracts.ts' && forbidden[5]?.[1] === pattern;

describe('the source', () => {
  it('is looked at', () => {
    expect(files.length).toBeGreaterThan(50);
    expect(forbidden.every(([, pattern]) => !pattern.test('import { a } from "./a.js"; typeof value'))).toBe(
      true,
    );
    const samples = [
      'eval("1")',
      'new Function("1")',
      "from 'node:vm'",
      "from 'node:child_process'",
      'require(name)',
      'await import(name)',
      "setTimeout('alert(1)', 5)",
      'tls: { rejectUnauthorized: false }',
    ];
    expect(samples.length).toBe(forbidden.length);
    for (const [at, sample] of samples.entries()) expect(sample).toMatch(forbidden[at]?.[1] as RegExp);
    expect("await import('zod')").not.toMatch(forbidden[5]?.[1] as RegExp);
  });

  it.each(forbidden)('has no use for %s', (_what, pattern) => {
    expect(files.filter((name) => pattern.test(code(name)) && !isMeant(name, pattern))).toEqual([]);
  });
});
