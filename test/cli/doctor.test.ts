import { Broker } from 'leveret';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { contractsFile, leveret } from '../helpers/cli/leveret.js';
import { type ServerShell, shellOf } from '../helpers/cli/rabbitmqctl.js';
import {
  createVhost,
  type ManagementApi,
  type PrivateServer,
  startPrivateServer,
} from '../helpers/server/index.js';
import { isVersion } from '../helpers/versions.js';
import { billing, emails, orders, quote, watch } from './contracts.js';

const password = 'canary/&41 x';

interface Finding {
  readonly id: string;
  readonly severity: string;
  readonly subject: string;
  readonly message: string;
  readonly fix: readonly string[];
}

let server: PrivateServer;
let shell: ServerShell;

beforeAll(async () => {
  server = await startPrivateServer({ configuration: ['heartbeat = 300'] });
  shell = await shellOf(server);
});

afterAll(async () => {
  await shell[Symbol.asyncDispose]();
  await server.stop();
});

async function doctor(url: string, ...args: string[]) {
  const { code, stdout, stderr } = await leveret(
    ['doctor', '--json', '--contracts', contractsFile(), ...args],
    {
      env: { RABBITMQ_URL: url, RABBITMQ_MANAGEMENT_URL: server.managementUrl },
    },
  );
  for (const form of [password, encodeURIComponent(password)]) expect(stdout + stderr).not.toContain(form);
  return {
    code,
    stderr,
    ...(JSON.parse(stdout) as { findings: Finding[]; checks: { id: string; status: string }[] }),
  };
}

async function declareQueue(
  management: ManagementApi,
  name: string,
  args: object,
  durable = true,
): Promise<void> {
  const path = `queues/${encodeURIComponent(management.vhost)}/${encodeURIComponent(name)}`;
  await management.request('PUT', path, { durable, arguments: args });
}

const quorum = { 'x-queue-type': 'quorum' };
const neverReached = { ...quorum, 'x-delivery-limit': 1_000_000 };
const deadLetters = (key: string) => ({ 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': key });

/** One fault for each check that a virtual host can fail, and the name of what it is found on. */
async function plant(
  management: ManagementApi,
  user: string,
): Promise<(readonly [id: string, subject: string])[]> {
  const isOld = !isVersion('4.3', server.version);
  await management.setPermissions(user, { configure: '^emails', write: '^emails|^orders', read: '.*' });
  await declareQueue(management, 'emails', { ...quorum, 'x-delivery-limit': 7, ...deadLetters('keep') });
  await declareQueue(management, 'keep', neverReached);
  await management.putPolicy('broad', {
    pattern: '^bro.ad',
    definition: { 'max-length': 50, 'message-ttl': 90_000 },
  });
  await declareQueue(management, "bro'ad ü", { ...quorum, 'x-delivery-limit': 5 });
  await declareQueue(management, 'astray', deadLetters('nowhere'));
  await declareQueue(management, 'adrift', { 'x-dead-letter-exchange': 'no.exchange' });
  await declareQueue(management, 'fleeting', { ...neverReached, 'x-message-ttl': 1_000 });
  await declareQueue(management, 'source', deadLetters('fleeting'));
  await declareQueue(management, 'small', { 'x-max-length': 5 });
  await declareQueue(management, 'impatient', { ...neverReached, 'x-consumer-timeout': 60_000 });
  if (isOld) await declareQueue(management, 'transient', {}, false);
  return [
    ['heartbeat', 'amqp:'],
    ['permissions', user],
    ['contract-mismatch', 'emails'],
    ['no-dead-letter-target', "bro'ad ü"],
    ['dead-letter-target-missing', 'astray'],
    ['dead-letter-target-missing', 'adrift'],
    ['dead-letters-expire', 'fleeting'],
    ['silent-overflow', "bro'ad ü"],
    ['silent-overflow', 'small'],
    ...(isOld ? ([['denied-by-4.3', 'transient']] as const) : []),
    ['consumer-timeout', 'impatient'],
  ];
}

/** Each line of a fix starts an Erlang system of its own, which takes seconds. */
describe('leveret doctor', { timeout: 240_000 }, () => {
  it('finds every planted fault, and its lines mend them and keep what applied before', {
    timeout: 600_000,
  }, async () => {
    await using vhost = await createVhost(server);
    const { management } = vhost;
    await management.createUser('app', password);
    const url = vhost.url.replace('guest:guest', `app:${encodeURIComponent(password)}`);
    const planted = await plant(management, 'app');
    await server.ctl('set_vm_memory_high_watermark', '0.000001');
    await expect.poll(async () => (await doctor(url)).findings.map(({ id }) => id)).toContain('memory-alarm');
    await server.ctl('set_vm_memory_high_watermark', '0.6');
    await expect
      .poll(async () => (await doctor(url)).findings.map(({ id }) => id))
      .not.toContain('memory-alarm');

    const { code, findings } = await doctor(url);
    expect(code).toBe(1);
    const found = findings.map(({ id, subject }) => [id, subject.startsWith('amqp:') ? 'amqp:' : subject]);
    expect(found.sort()).toEqual([...planted].sort());
    expect(findings.find(({ id }) => id === 'contract-mismatch')?.message).toContain(
      "'x-delivery-limit' is 20 in the contract and 7 on the server",
    );

    for (const line of new Set(findings.flatMap(({ fix }) => fix))) await shell.run(line);
    expect(await doctor(url)).toMatchObject({ code: 0, findings: [] });
    const policies = await management.request<{ name: string; definition: object }[]>(
      'GET',
      `policies/${encodeURIComponent(vhost.name)}`,
    );
    expect(policies.find(({ name }) => name === 'broad')?.definition).toEqual({
      'max-length': 50,
      'message-ttl': 90_000,
    });
    expect(policies.find(({ name }) => name === "leveret-doctor-bro'ad ü")?.definition).toEqual({
      'max-length': 50,
      'message-ttl': 90_000,
      'dead-letter-exchange': '',
      'dead-letter-routing-key': "bro'ad ü.dead",
    });
    const granted = await management.request('GET', `permissions/${encodeURIComponent(vhost.name)}/app`);
    expect(granted).toMatchObject({ configure: expect.stringContaining('^emails'), read: '.*' });
  });

  it('has nothing to say about what Leveret declares by default', async () => {
    await using vhost = await createVhost(server);
    await using broker = await Broker.connect(vhost.url);
    await broker.declare(emails, orders, billing, quote);
    await broker.producer(emails).send({ to: 'ada' }, { delayMs: 100 });
    const consumer = broker.consumer(watch, () => {});
    await consumer.ready;
    // The fault of the server itself is known.
    const findings = (await doctor(vhost.url)).findings.filter(({ id }) => id !== 'heartbeat');
    expect(findings).toEqual([]);
  });

  it('finds that a virtual host does not exist, and its lines make it', async () => {
    const url = `${server.url}/not%20there`;
    const { code, findings, checks } = await doctor(url);
    expect(code).toBe(1);
    expect(findings.map(({ id }) => id)).toContain('vhost-not-found');
    expect(checks.find(({ id }) => id === 'silent-overflow')?.status).toBe('skipped');
    for (const line of findings.find(({ id }) => id === 'vhost-not-found')?.fix ?? []) await shell.run(line);
    const after = await doctor(url);
    expect(after.findings.map(({ id }) => id).filter((id) => id !== 'heartbeat')).toEqual([]);
  });

  it('deletes no queue that holds a message', async () => {
    await using vhost = await createVhost(server);
    await using broker = await Broker.connect(vhost.url);
    await declareQueue(vhost.management, 'emails', {});
    await broker.producer({ ...emails, declare: false }).send({ to: 'ada' });
    const [finding] = (await doctor(vhost.url)).findings.filter(({ id }) => id === 'contract-mismatch');
    expect(finding).toMatchObject({
      subject: 'emails',
      fix: [],
      message: expect.stringContaining('holds messages'),
    });
  });

  it('skips what it cannot look at, and says why', async () => {
    await using vhost = await createVhost(server);
    const { checks } = await doctor(vhost.url, '--management-url', 'http://127.0.0.1:1');
    const skipped = checks.filter(({ status }) => status === 'skipped');
    expect(skipped.map(({ id }) => id)).toContain('dead-letters-expire');
    expect(skipped).toMatchObject(
      skipped.map(() => ({ reason: expect.stringContaining('does not answer') })),
    );
  });
});
