import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/**
 * Below the range from which operating systems take the local ports of outgoing connections. A client that keeps dialling
 * a closed port in that range sooner or later gets the very port as its own end, connects to itself, and keeps the
 * server from ever coming back to it.
 */
const lowest = 20_000;
const highest = 31_999;
const attempts = 200;

/** What this process was given before: a node that is to listen there may not do so yet. */
const given = new Set<number>();

/** Free ports on the loopback interface. */
export async function freePorts(count: number): Promise<number[]> {
  const held: Server[] = [];
  const ports: number[] = [];
  try {
    for (let attempt = 0; ports.length < count; attempt++) {
      if (attempt === attempts) throw new Error(`No ${count} free ports between ${lowest} and ${highest}.`);
      const port = lowest + Math.floor(Math.random() * (highest - lowest + 1));
      if (given.has(port)) continue;
      const server = createServer();
      try {
        server.listen({ port, host: '127.0.0.1', exclusive: true });
        await once(server, 'listening');
        held.push(server);
        ports.push(port);
        given.add(port);
      } catch {
        // Taken: another one.
      }
    }
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
  return ports;
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  return port as number;
}
