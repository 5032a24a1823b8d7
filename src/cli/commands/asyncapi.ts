import { readFile, writeFile } from 'node:fs/promises';
import { asyncapi, asyncapiHtml } from '../../asyncapi/index.js';
import type { Invocation } from '../command.js';
import { loadContracts } from '../contracts.js';
import { EXIT, type ExitCode, usageError } from '../failure.js';
import { shown } from '../secrets.js';
import { toJson } from '../text.js';

/** Writes the AsyncAPI document of contracts. Contacts no server. */
export async function run({ positionals, values, terminal, json }: Invocation): Promise<ExitCode> {
  const contracts = await loadContracts(positionals);
  const own = await packageHere();
  const document = asyncapi(contracts, {
    title: values.text('title') ?? own.name ?? 'Messages',
    version: values.text('api-version') ?? own.version ?? '0.0.0',
  });
  const html = values.text('html');
  const out = values.text('out');
  if (html !== undefined) await write(html, asyncapiHtml(document));
  if (out !== undefined) await write(out, `${JSON.stringify(document, undefined, 2)}\n`);
  if (out === undefined && html === undefined) {
    await terminal.print(json ? toJson(document) : JSON.stringify(document, undefined, 2));
  } else if (json) await terminal.print(toJson(document));
  else for (const file of [out, html]) if (file !== undefined) terminal.hint(`Wrote ${shown(file)}.`);
  return EXIT.done;
}

async function write(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    throw usageError(`${shown(file)} cannot be written${code === undefined ? '' : ` (${code})`}`);
  }
}

/** The package.json of the current folder. */
async function packageHere(): Promise<{ readonly name?: string; readonly version?: string }> {
  try {
    const { name, version } = JSON.parse(await readFile('package.json', 'utf8')) as Record<string, unknown>;
    return {
      ...(typeof name === 'string' && name !== '' ? { name } : {}),
      ...(typeof version === 'string' && version !== '' ? { version } : {}),
    };
  } catch {
    return {};
  }
}
