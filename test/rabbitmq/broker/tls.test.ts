import { Broker, queue } from 'leveret';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordEvents } from '../../helpers/recorded-events.js';
import { createVhost } from '../../helpers/server/index.js';
import { type Certificates, makeCertificates, serveTls } from '../../helpers/tls-server.js';

const notes = queue('notes', z.object({ text: z.string() }), { type: 'classic', deadLetter: false });

describe('a broker over TLS', () => {
  let certificates: Certificates;
  beforeAll(async () => {
    certificates = await makeCertificates();
  });

  it('sends and consumes when it knows who issued the certificate of the server', async () => {
    await using vhost = await createVhost();
    await using secure = await serveTls(vhost.url, certificates.valid);
    await using broker = await Broker.connect(secure.url, { tls: { ca: certificates.ca } });
    expect(broker.state).toMatchObject({ status: 'connected', address: expect.stringMatching(/^amqps:/) });
    const got: string[] = [];
    await broker.consumer(notes, ({ body }) => void got.push(body.text)).ready;
    await broker.producer(notes).send({ text: 'secret' });
    await expect.poll(() => got).toEqual(['secret']);
  });

  it.each([
    ['of an unknown authority', 'valid', false, /unable to verify|self.signed/],
    ['of another host', 'otherHost', true, /altnames/],
    ['that has expired', 'expired', true, /expired/],
  ] as const)('refuses a certificate %s at once', async (_which, name, knowsAuthority, reason) => {
    await using vhost = await createVhost();
    await using secure = await serveTls(vhost.url, certificates[name]);
    const startedAt = performance.now();
    const options = knowsAuthority ? { tls: { ca: certificates.ca } } : {};
    await expect(Broker.connect(secure.url, options)).rejects.toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringMatching(reason),
    });
    expect(performance.now() - startedAt).toBeLessThan(2_000);
  });

  it('does not go on in the clear when it is to speak to a server without TLS, nor the other way round', async () => {
    await using vhost = await createVhost();
    await using secure = await serveTls(vhost.url, certificates.valid);
    await using plain = new Broker(secure.url.replace('amqps:', 'amqp:'), { startupTimeoutMs: 400 });
    const events = recordEvents(plain);
    await expect(plain.connect()).rejects.toMatchObject({
      code: 'CONNECTION_FAILED',
      message: expect.stringContaining('If the server speaks TLS at this port, use amqps: in place of amqp:'),
    });
    expect(events.of('connected')).toEqual([]);
    const clear = vhost.url.replace('amqp:', 'amqps:');
    await expect(Broker.connect(clear, { tls: { ca: certificates.ca } })).rejects.toMatchObject({
      code: 'TLS_REFUSED',
      message: expect.stringContaining('does not speak TLS at this port'),
    });
  });

  it('takes no list in which another host would do without it', async () => {
    await using vhost = await createVhost();
    await using secure = await serveTls(vhost.url, certificates.expired);
    await using broker = new Broker([secure.url, vhost.url], { tls: { ca: certificates.ca } });
    await expect(broker.connect()).rejects.toMatchObject({ code: 'INVALID_URL' });
  });

  it('rejects at once what the server refuses inside', async () => {
    await using vhost = await createVhost();
    await using secure = await serveTls(vhost.url, certificates.valid);
    const tls = { ca: certificates.ca };
    const wrong = secure.url.replace('guest:guest@', 'guest:wrong@');
    await expect(Broker.connect(wrong, { tls })).rejects.toMatchObject({ code: 'ACCESS_REFUSED' });
    await expect(Broker.connect(`${secure.url}-missing`, { tls })).rejects.toMatchObject({
      code: 'VHOST_NOT_FOUND',
    });
  });
});
