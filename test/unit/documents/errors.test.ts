import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { ConnectionError, type LeveretError, UnroutableError } from '../../../src/errors.js';
import { Warnings } from '../../../src/util/warnings.js';

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');
const page = read('docs/errors.md');

/** Every code of the union types in the source: `ErrorCode` is made of them. */
const codes = new Set(
  [...read('src/errors.ts').matchAll(/^export type \w*Code =([^;]+);/gm)].flatMap(([, union = '']) =>
    [...union.matchAll(/'([A-Z_]+)'/g)].map(([, code = '']) => code),
  ),
);

describe('the page of errors', () => {
  it('knows the codes', () => {
    expect(codes.size).toBeGreaterThanOrEqual(18);
    expect(codes).toContain('MISMATCH');
  });

  it.each([...codes])('says what causes %s, and what to do', (code) => {
    const section = page.split(/^## /m).find((text) => text.startsWith(`${code}\n`));
    expect(section).toMatch(/\*\*Cause\.\*\*/);
    expect(section).toMatch(/\*\*Remedy\.\*\*/);
    expect(page).toContain(`| [\`${code}\`](#${code.toLowerCase()}) |`);
  });

  it('has no section of a code that is gone', () => {
    const sections = [...page.matchAll(/^## ([A-Z_]+)$/gm)].map(([, code]) => code);
    expect(new Set(sections)).toEqual(codes);
  });

  it('names every warning of the process', () => {
    for (const code of [
      'HANDLER_ERROR',
      'INVALID_MESSAGE',
      'DEAD_LETTER_FAILED',
      'CONSUMER_FAILED',
      'CONNECTING',
    ])
      expect(page).toContain(`\`LEVERET_${code}\``);
  });
});

describe('a warning of the process', () => {
  it('names its section of that page, in a line of its own', async () => {
    const warned = once(process, 'warning');
    new Warnings().once('LEVERET_HANDLER_ERROR', 'emails', 'a handler failed');
    const [warning] = (await warned) as [Error & { readonly detail: string }];
    const [, anchor = ''] = warning.detail.split('#');
    expect(page).toContain(`## ${anchor.replaceAll('-', ' ').replace(/^./, (it) => it.toUpperCase())}\n`);
  });
});

describe('an error', () => {
  it('names its section of that page', () => {
    const error: LeveretError = new UnroutableError('no queue', '', 'q');
    expect(error.help).toBe('https://github.com/leveret-mq/leveret/blob/main/docs/errors.md#unroutable');
    expect(new ConnectionError('TLS_REFUSED', 'no').help).toMatch(/#tls_refused$/);
  });

  it('shows it where Node prints the error, and where a logger copies its properties', () => {
    const error = new UnroutableError('no queue', '', 'q');
    expect(inspect(error)).toContain('docs/errors.md#unroutable');
    expect(JSON.parse(JSON.stringify(error))).toMatchObject({ help: error.help, code: 'UNROUTABLE' });
  });
});
