import { Broker, queue } from 'leveret';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { type PrivateServer, startPrivateServer } from '../../helpers/server/index.js';
import { type Certificates, makeCertificates } from '../../helpers/tls-server.js';

const notes = queue('notes', z.object({ text: z.string() }), { type: 'classic', deadLetter: false });
const external = () => ({ mechanism: 'EXTERNAL' as const });

describe('a server that wants to see the certificates of its clients', () => {
  let certificates: Certificates;
  let server: PrivateServer;
  let url: string;
  beforeAll(async () => {
    certificates = await makeCertificates();
    server = await startPrivateServer({
      plugins: ['rabbitmq_auth_mechanism_ssl'],
      tls: { ca: certificates.ca, ...certificates.valid },
      configuration: [
        'ssl_cert_login_from = common_name',
        'auth_mechanisms.1 = PLAIN',
        'auth_mechanisms.2 = EXTERNAL',
      ],
    });
    url = server.tlsUrl as string;
    // A user without a password.
    await server.management.request('PUT', 'users/client', { password_hash: '', tags: '' });
    await server.management.setPermissions('client', { configure: '.*', write: '.*', read: '.*' });
  }, 120_000);
  afterAll(() => server?.stop());

  const connect = (tls: object, options: object = {}) =>
    Broker.connect(url, { tls: { ca: certificates.ca, ...tls }, credentials: external, ...options });

  it('knows a client by its certificate alone, on both connections', async () => {
    await using broker = await connect(certificates.client);
    const got: string[] = [];
    await broker.consumer(notes, ({ body }) => void got.push(body.text)).ready;
    await broker.producer(notes).send({ text: 'no password' });
    await expect.poll(() => got).toEqual(['no password']);
    const users = async () => (await server.management.connections()).map(({ user }) => user);
    await expect.poll(users, { timeout: 15_000 }).toEqual(['client', 'client']);
  });

  it('knows it again after a lost connection', async () => {
    await using broker = await connect(certificates.client, { reconnect: { initialDelayMs: 10 } });
    const events = recordEvents(broker);
    await server.ctl('close_all_connections', 'a test');
    await expect.poll(() => events.of('disconnected').length, { timeout: 15_000 }).toBe(1);
    await expect.poll(() => events.of('connected').length, { timeout: 15_000 }).toBe(1);
    await broker.producer(notes).send({ text: 'still the same' });
  });

  it('takes a password too, where the client has both', async () => {
    await using broker = await Broker.connect(url.replace('//', '//guest:guest@'), {
      tls: { ca: certificates.ca, ...certificates.client },
    });
    expect(broker.state.status).toBe('connected');
  });

  it('refuses an unknown certificate', async () => {
    // Its common name is not a user.
    await expect(connect(certificates.otherHost)).rejects.toMatchObject({ code: 'ACCESS_REFUSED' });
  });

  it.each([
    ['no certificate', () => ({})],
    ['an expired certificate', () => certificates.expired],
  ])('refuses a client with %s at once', async (_what, tls) => {
    const startedAt = performance.now();
    await expect(connect(tls())).rejects.toMatchObject({ code: 'TLS_REFUSED' });
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  it('is not trusted itself when its authority is unknown, whatever the client shows', async () => {
    const { cert, key } = certificates.client;
    await expect(Broker.connect(url, { tls: { cert, key }, credentials: external })).rejects.toMatchObject({
      code: 'TLS_REFUSED',
    });
  });

  it('refuses EXTERNAL without TLS', async () => {
    await expect(Broker.connect(server.url, { credentials: external })).rejects.toMatchObject({
      code: 'ACCESS_REFUSED',
    });
  });

  it('speaks no AMQP in the clear on its port for TLS', async () => {
    await expect(
      Broker.connect(url.replace('amqps:', 'amqp:'), { startupTimeoutMs: 1_000 }),
    ).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });
});
