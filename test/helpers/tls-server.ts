import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { promisify } from 'node:util';

export interface Certificate {
  readonly key: string;
  readonly cert: string;
}

export interface Certificates {
  /** The certificate of the authority that issued the others. */
  readonly ca: string;
  /** For 127.0.0.1 and localhost. */
  readonly valid: Certificate;
  /** For another host. */
  readonly otherHost: Certificate;
  /** For 127.0.0.1, until yesterday. */
  readonly expired: Certificate;
  /** Of a client whose common name is `client`. */
  readonly client: Certificate;
}

/** Makes an authority of the tests' own and certificates of several kinds, with the `openssl` of this machine. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'leveret-certificates-'));
  const file = (name: string) => join(folder, name);
  const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: folder });
  const issue = async (name: string, hosts: string, ...validity: string[]): Promise<Certificate> => {
    await writeFile(file(`${name}.ext`), `subjectAltName=${hosts}\n`);
    await openssl(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${name}`,
    );
    await openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      '-CA',
      'ca.crt',
      '-CAkey',
      'ca.key',
      '-CAcreateserial',
      '-extfile',
      `${name}.ext`,
      '-out',
      `${name}.crt`,
      ...validity,
    );
    const [key, cert] = await Promise.all([
      readFile(file(`${name}.key`), 'utf8'),
      readFile(file(`${name}.crt`), 'utf8'),
    ]);
    return { key, cert };
  };
  try {
    await openssl(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
      '-days',
      '2',
      '-subj',
      '/CN=Tests',
    );
    const here = 'IP:127.0.0.1,DNS:localhost';
    return {
      ca: await readFile(file('ca.crt'), 'utf8'),
      valid: await issue('valid', here, '-days', '1'),
      otherHost: await issue('other', 'DNS:elsewhere.example', '-days', '1'),
      expired: await issue('expired', here, '-days', '-1'),
      client: await issue('client', 'DNS:client.example', '-days', '1'),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Speaks TLS to clients, and hands what they say to a server that does not. */
export async function serveTls(target: string, { key, cert }: Certificate) {
  const { hostname, port } = new URL(target);
  const sockets = new Set<TLSSocket>();
  const server = createServer({ key, cert }, (client) => {
    const plain = connect(Number(port), hostname);
    sockets.add(client);
    for (const [from, to] of [
      [client, plain],
      [plain, client],
    ] as const) {
      from.on('error', () => to.destroy());
      from.on('close', () => to.destroy());
      from.pipe(to);
    }
  });
  server.on('tlsClientError', () => undefined);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(target);
  url.hostname = '127.0.0.1';
  url.port = `${(server.address() as { port: number }).port}`;
  return {
    /** The same URL, over TLS. */
    url: url.href.replace(/^amqp:/, 'amqps:'),
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
