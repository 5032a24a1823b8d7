import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { expect, it } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** What the compiler says about each line, which is a statement of its own. */
function complaintsAbout(context: string, lines: readonly string[]): string[] {
  const path = join(root, 'reports/compile-errors/lines.ts');
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `${context}\n${lines.join('\n')}\n`);
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root);
  const program = ts.createProgram([path], { ...options, noEmit: true });
  const diagnostics = ts.getPreEmitDiagnostics(program, program.getSourceFile(path));
  return diagnostics.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

it('a wrong answer is explained by what it consists of, and not by how promises differ', {
  timeout: 120_000,
}, () => {
  const context = `
    import { type Broker, procedure } from 'leveret';
    import { z } from 'zod';
    const quote = procedure('quote', { request: z.object({ sku: z.string() }), response: z.object({ price: z.number() }) });
    export declare const broker: Broker;
    declare const later: PromiseLike<{ price: number }>;`;
  expect(
    complaintsAbout(context, [
      'broker.responder(quote, async ({ body }) => ({ price: body.sku }));',
      'broker.responder(quote, async () => ({ prize: 1 }));',
      'broker.responder(quote, ({ body }) => ({ price: body.sku }));',
      'broker.responder(quote, () => later);',
    ]),
  ).toEqual([
    `Type 'Promise<{ price: string; }>' is not assignable to type 'MaybePromise<{ price: number; }>'.
  Type 'Promise<{ price: string; }>' is not assignable to type 'Promise<{ price: number; }>'.
    Type '{ price: string; }' is not assignable to type '{ price: number; }'.
      Types of property 'price' are incompatible.
        Type 'string' is not assignable to type 'number'.`,
    `Type 'Promise<{ prize: number; }>' is not assignable to type 'MaybePromise<{ price: number; }>'.
  Type 'Promise<{ prize: number; }>' is not assignable to type 'Promise<{ price: number; }>'.
    Property 'price' is missing in type '{ prize: number; }' but required in type '{ price: number; }'.`,
    "Type 'string' is not assignable to type 'number'.",
  ]);
});
