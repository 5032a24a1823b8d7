import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { promisify } from 'node:util';
import type { PrivateServer } from '../server/index.js';

/** A shell in which `rabbitmqctl` reaches the server, wherever that runs. */
export interface ServerShell extends AsyncDisposable {
  /** Runs one line, as if it were pasted into a shell. Rejects when it fails. */
  run(line: string): Promise<void>;
}

/** Asks the test for what `rabbitmqctl` is to do: it knows how to reach the server. */
const relay = (port: number) => `#!/usr/bin/env node
const input = process.argv[2] === 'import_definitions' ? require('node:fs').readFileSync(0, 'utf8') : '';
fetch('http://127.0.0.1:${port}', { method: 'POST', body: JSON.stringify({ input, args: process.argv.slice(2) }) })
  .then(async (response) => {
    (response.ok ? process.stdout : process.stderr).write(await response.text());
    process.exitCode = response.ok ? 0 : 1;
  });
`;

export async function shellOf(server: PrivateServer): Promise<ServerShell> {
  const answer = async (request: IncomingMessage) => {
    const { args, input } = JSON.parse(await text(request)) as { args: string[]; input: string };
    return server.ctlWithInput(input, ...args);
  };
  const listener = createServer((request, response) => {
    answer(request).then(
      (output) => response.end(output),
      (error: Error) => response.writeHead(500).end(error.message),
    );
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const folder = await mkdtemp(join(tmpdir(), 'leveret-ctl-'));
  const { port } = listener.address() as AddressInfo;
  await writeFile(join(folder, 'rabbitmqctl'), relay(port), { mode: 0o755 });
  return {
    async run(line) {
      const env = { ...process.env, PATH: [folder, process.env.PATH].join(delimiter) };
      await promisify(execFile)('sh', ['-c', line], { env });
    },
    async [Symbol.asyncDispose]() {
      listener.close();
      listener.closeAllConnections();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
