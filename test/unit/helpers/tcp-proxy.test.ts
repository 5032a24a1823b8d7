import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { TcpProxy } from '../../helpers/tcp-proxy.js';

let server: Server;
let proxy: TcpProxy;
const accepted: Socket[] = [];

/** Sends back what it gets. */
beforeEach(async () => {
  server = createServer((socket) => {
    accepted.push(socket);
    socket.on('error', () => undefined);
    socket.pipe(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  proxy = await TcpProxy.listen({ host: '127.0.0.1', port: (server.address() as AddressInfo).port });
});

afterEach(async () => {
  await proxy.close();
  for (const socket of accepted.splice(0)) socket.destroy();
  server.close();
});

async function client(): Promise<Socket> {
  const socket = connect(proxy.port, '127.0.0.1');
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

async function echo(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  let answer = '';
  while (answer.length < text.length) answer += String((await once(socket, 'data'))[0]);
  return answer;
}

it('passes bytes both ways and counts them', async () => {
  const socket = await client();
  expect(await echo(socket, 'hello')).toBe('hello');
  expect(proxy.bytes).toEqual({ 'to-server': 5, 'to-client': 5 });
  expect(proxy.connections).toBe(1);
  expect(proxy.accepted).toBe(1);
});

it('passes an orderly end on', async () => {
  const socket = await client();
  await echo(socket, 'hello');
  socket.end();
  await once(socket, 'end');
  await expect.poll(() => proxy.connections).toBe(0);
});

it('resets every connection and accepts new ones', async () => {
  const socket = await client();
  await echo(socket, 'hello');
  const failed = once(socket, 'error').catch((error: unknown) => error);
  proxy.cutAll();
  expect(await failed).toMatchObject([{ code: 'ECONNRESET' }]);
  expect(await echo(await client(), 'again')).toBe('again');
});

it('resets also a connection that it is just ending', async () => {
  const socket = await client();
  await echo(socket, 'hello');
  proxy.endAll();
  proxy.cutAll();
  await expect.poll(() => proxy.connections, { timeout: 10_000 }).toBe(0);
});

it('holds bytes in a black hole and lets them go afterwards', async () => {
  const socket = await client();
  await echo(socket, 'hello');
  proxy.blackhole(true);
  const answer = echo(socket, 'held');
  const before = proxy.bytes['to-server'];
  // Another connection's round trip through the same proxy's event loop would have carried the bytes.
  const direct = connect((server.address() as AddressInfo).port, '127.0.0.1');
  expect(await echo(direct, 'direct')).toBe('direct');
  direct.destroy();
  expect(proxy.bytes['to-server']).toBe(before);
  proxy.blackhole(false);
  expect(await answer).toBe('held');
});

it('black-holes one way alone', async () => {
  const socket = await client();
  await echo(socket, 'hello');
  proxy.blackhole('to-client');
  const answer = echo(socket, 'asked');
  await expect.poll(() => proxy.bytes).toEqual({ 'to-server': 10, 'to-client': 5 });
  proxy.blackhole(false);
  expect(await answer).toBe('asked');
});

it('keeps the other side open when one dies in a frozen pair', async () => {
  const socket = await client();
  await echo(socket, 'hello');
  proxy.freeze();
  socket.destroy();
  expect(await echo(await client(), 'fresh')).toBe('fresh');
  expect(proxy.connections).toBe(2);
  proxy.thaw();
  await expect.poll(() => proxy.connections).toBe(1);
});

it('refuses connections and takes them again on the same port', async () => {
  const socket = await client();
  await proxy.refuse(true);
  await expect(client()).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  expect(await echo(socket, 'still here')).toBe('still here');
  await proxy.refuse(false);
  expect(await echo(await client(), 'again')).toBe('again');
});

it('delays bytes and keeps their order', async () => {
  const socket = await client();
  proxy.delay(50);
  const started = performance.now();
  expect(await echo(socket, 'slow')).toBe('slow');
  expect(performance.now() - started).toBeGreaterThanOrEqual(99);
});

it('replaces chunks on request', async () => {
  const socket = await client();
  proxy.intercept((chunk, direction) =>
    direction === 'to-server' ? Array.from(chunk, (byte) => Buffer.of(byte ^ 0x20)) : [chunk],
  );
  expect(await echo(socket, 'upside')).toBe('UPSIDE');
});

it('resets a client whose server refuses', async () => {
  server.close();
  for (const socket of accepted) socket.destroy();
  const socket = connect(proxy.port, '127.0.0.1');
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
  expect(error.code).toBe('ECONNRESET');
});
