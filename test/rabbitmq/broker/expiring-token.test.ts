import { createHmac, randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { Broker, queue } from 'leveret';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { type PrivateServer, startPrivateServer } from '../../helpers/server/index.js';
import { TcpProxy } from '../../helpers/tcp-proxy.js';
import { WireLog } from '../../helpers/wire-log.js';

const notes = queue('notes', z.object({ text: z.string() }), { type: 'classic', deadLetter: false });

const secret = randomBytes(32);
const base64 = (value: Buffer | object) =>
  (Buffer.isBuffer(value) ? value : Buffer.from(JSON.stringify(value))).toString('base64url');

/** What an identity provider would give out: a token of the server's own key. */
function tokenUntil(expiresAt: Date, key = secret): string {
  const head = base64({ alg: 'HS256', typ: 'JWT', kid: 'tests' });
  const claims = base64({
    sub: 'service',
    aud: ['rabbitmq'],
    scope: ['rabbitmq.configure:*/*', 'rabbitmq.write:*/*', 'rabbitmq.read:*/*'],
    exp: Math.floor(expiresAt.getTime() / 1_000),
  });
  return `${head}.${claims}.${createHmac('sha256', key).update(`${head}.${claims}`).digest('base64url')}`;
}

const inSeconds = (seconds: number) => new Date(Date.now() + seconds * 1_000);

describe('a token that expires', () => {
  let server: PrivateServer;
  beforeAll(async () => {
    server = await startPrivateServer({
      plugins: ['rabbitmq_auth_backend_oauth2'],
      configuration: [
        'auth_backends.1 = rabbit_auth_backend_internal',
        'auth_backends.2 = rabbit_auth_backend_oauth2',
        'auth_oauth2.resource_server_id = rabbitmq',
      ],
    });
    const jwk = `#{<<"kty">> => <<"oct">>, <<"alg">> => <<"HS256">>, <<"k">> => <<"${base64(secret)}">>, <<"kid">> => <<"tests">>}`;
    await server.ctl('eval', `uaa_jwt:add_signing_key(<<"tests">>, map, ${jwk}).`);
  }, 120_000);
  afterAll(() => server?.stop());

  it('is followed by the next one on both connections, which live on', { timeout: 60_000 }, async () => {
    await using proxy = await TcpProxy.listen(server.url);
    const wire = WireLog.of(proxy);
    let asked = 0;
    await using broker = await Broker.connect(proxy.via(server.url), {
      credentials: () => {
        asked++;
        const expiresAt = inSeconds(5);
        return { username: 'service', password: tokenUntil(expiresAt), expiresAt };
      },
    });
    const events = recordEvents(broker);
    const got: string[] = [];
    await broker.consumer(notes, ({ body }) => void got.push(body.text)).ready;
    // Each connection outlives the token that it was opened with, twice.
    await expect
      .poll(() => wire.of('connection.update-secret-ok', 'to-client').length, { timeout: 40_000 })
      .toBeGreaterThanOrEqual(5);
    const renewed = new Set(wire.of('connection.update-secret-ok').map(({ connection }) => connection));
    expect([...renewed].sort()).toEqual([1, 2]);
    await broker.producer(notes).send({ text: 'still allowed' });
    await expect.poll(() => got).toEqual(['still allowed']);
    expect(events.names).toEqual([]);
    expect(proxy.accepted).toBe(2);
    expect(asked).toBeGreaterThanOrEqual(7);
  });

  it('whose successor is refused costs the connection, not the broker', { timeout: 60_000 }, async () => {
    let mode: 'good' | 'forged' = 'good';
    await using broker = await Broker.connect(server.url, {
      credentials: () => {
        const expiresAt = inSeconds(3);
        const key = mode === 'good' ? secret : randomBytes(32);
        return { username: 'service', password: tokenUntil(expiresAt, key), expiresAt };
      },
      reconnect: { initialDelayMs: 10, maxDelayMs: 200 },
    });
    const events = recordEvents(broker);
    mode = 'forged';
    await expect
      .poll(() => events.of('connect-failed').at(-1), { timeout: 30_000 })
      .toMatchObject({ error: { code: 'ACCESS_REFUSED' } });
    mode = 'good';
    await expect.poll(() => broker.state.status, { timeout: 15_000 }).toBe('connected');
    await broker.producer(notes).send({ text: 'back' });
    // Each begins like this.
    expect(inspect(events.all, { depth: Number.POSITIVE_INFINITY, showHidden: true })).not.toContain('eyJ');
  });

  it('is refused at the start when its time is over, and named nowhere', async () => {
    const password = tokenUntil(inSeconds(-60));
    const error: unknown = await Broker.connect(server.url, {
      credentials: () => ({ username: 'service', password }),
    }).catch((it: unknown) => it);
    expect(error).toMatchObject({ code: 'ACCESS_REFUSED' });
    expect(String(error)).not.toContain(password.slice(0, 20));
  });
});
