import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { createVhost, type TestVhost } from '../helpers/server/index.js';

const folder = new URL('../../examples/', import.meta.url);
const files = readdirSync(folder).filter((file) => file.endsWith('.ts') && file !== 'run.ts');

/** They work in several processes, which a broker in memory does not reach. */
const onServerOnly = ['06-worker-dies.ts', '07-automatic-acknowledgement.ts', '15-looking-after.ts'];

/** What each example has to print; its lines are given without the spaces around them. */
const expectations: Readonly<Record<string, (lines: readonly string[]) => void>> = {
  'main.ts': (lines) => {
    const text = lines.join('\n');
    expect(text).toContain('SO-10458  not sent: Invalid body for');
    expect(text).toMatch(/worker \d {2}SO-10450 {2}attempt 1 failed: the payment service answered 503/);
    expect(text).toMatch(/worker \d {2}SO-10450 {2}.* EUR, attempt 2/);
    const deadLetters = lines.slice(lines.indexOf('Dead letters:') + 1, lines.indexOf('Summary:'));
    expect(deadLetters).toContain('SO-10492  DeadLetter: MUG-HARE-OLD is not sold any more');
    expect(deadLetters).toContain('foreign-1  does not fit the schema:');
    expect(deadLetters).toContain('customer.name: Too small: expected string to have >=1 characters');
    const summary = Object.fromEntries(
      lines.slice(lines.indexOf('Summary:') + 1).map((line) => line.split(/ {2,}/) as [string, string]),
    );
    expect(summary).toMatchObject({
      'refused before it was sent': '1',
      sent: '200',
      handled: '198',
      retried: '2',
      'dead-lettered': '2',
      'left in the queue': '0',
      turnover: '7919.35 EUR',
      duration: expect.stringMatching(/^\d+\.\d\d s$/),
      rate: expect.stringMatching(/^[1-9]\d* msg\/s$/),
    });
    const shares = /acknowledged by worker 1: (\d+), worker 2: (\d+)\)/.exec(text);
    expect(Number(shares?.[1]) + Number(shares?.[2])).toBe(198);
  },

  '01-hello-world.ts': (lines) => {
    const round = [
      'consumer: [#####...............] 250 of 1000, the last: Hello World! 250',
      'consumer: [##########..........] 500 of 1000, the last: Hello World! 500',
      'consumer: [###############.....] 750 of 1000, the last: Hello World! 750',
      'consumer: [####################] 1000 of 1000, the last: Hello World! 1000',
      'consumer: got 1000 messages, in order',
    ];
    const sent = 'producer: sent 1000 messages, each of them confirmed by the server';
    const second = lines.indexOf('The producer starts first:');
    const consumed = (part: readonly string[]) => part.filter((line) => /^consumer: (\[|got)/.test(line));
    expect(lines.slice(0, 2)).toEqual(['The consumer starts first:', 'consumer: ready']);
    expect(lines.slice(0, second)).toContain(sent);
    expect(consumed(lines.slice(0, second))).toEqual(round);
    expect(lines.slice(second + 1, second + 3)).toEqual([sent, 'consumer: ready']);
    expect(consumed(lines.slice(second))).toEqual(round);
  },

  '30-outbox.ts': (lines) => {
    expect(lines).toEqual([
      'eve: rolled back, the card was declined',
      'Signed up: ada and bob. Nothing has been sent yet.',
      'The relay has sent 2 messages.',
      "The handler ran 3 times: bob's first run failed and was rolled back.",
      'Messages that came again: 1.',
      'Mails: ada@example.com, bob@example.com.',
    ]);
  },

  '15-looking-after.ts': (lines) => {
    expect(lines).toContain('queues: example.parcels has 3 messages and 0 consumers');
    expect(lines).toContain('doctor: contract-mismatch, example.parcels');
    expect(lines.join(' ')).toContain("'x-delivery-limit' is 10 in the contract and 5 on the server");
    expect(lines.at(-1)).toBe('dead list: 0 dead letters');
  },

  '02-staged.ts': (lines) => {
    expect(lines).toEqual([
      'Stage 1: sent 500 reports, 0 failed. The producer stops.',
      'Between: 500 messages wait in the queue, 0 consumers are there.',
      'Stage 2: received 500 different reports, 0 are missing.',
      'Afterwards: 0 messages wait in the queue.',
    ]);
  },

  '03-two-consumers.ts': (lines) => {
    expect(lines.map((line) => line.replace(/ +/g, ' '))).toEqual([
      't0 the queue is empty depth 0',
      't1 m1 is sent depth 1 ■',
      't2 m2 is sent depth 2 ■■',
      't3 consumer 1 takes m1 depth 1 ■',
      't4 consumer 2 takes m2 depth 0',
      't5 both are acknowledged depth 0',
      'consumer 1 acknowledged 1 message, consumer 2 1',
    ]);
  },

  '04-competing-workers.ts': (lines) => {
    const phases = lines
      .filter((line) => line.includes('tasks/s'))
      .map((line) => ({
        rate: Number(/(\d+) tasks\/s/.exec(line)?.[1]),
        shares: [...line.matchAll(/worker \d: (\d+)/g)].map(([, share]) => Number(share)),
      }));
    expect(phases.map(({ shares }) => shares.length)).toEqual([1, 2, 3]);
    const [one, two, three] = phases.map(({ rate }) => rate) as [number, number, number];
    expect(two).toBeGreaterThan(one * 1.3);
    expect(three).toBeGreaterThan(two * 1.1);
    for (const { shares } of phases) {
      const fair = shares.reduce((sum, share) => sum + share) / shares.length;
      for (const share of shares) {
        expect(share).toBeGreaterThan(fair * 0.7);
        expect(share).toBeLessThan(fair * 1.3);
      }
    }
    expect(lines.at(-1)).toBe('In all: 180 tasks handled, every one of them once.');
  },

  '05-acknowledge-after-work.ts': (lines) => {
    expect(lines.map((line) => line.replace(/ +/g, ' '))).toEqual([
      'The message is sent ready: 1 unacknowledged: 0',
      'resizing hare.jpg, attempt 1 …',
      'The worker has it, and is not done ready: 0 unacknowledged: 1',
      'The worker left in mid-task: it is back ready: 1 unacknowledged: 0',
      'resizing hare.jpg, attempt 2 …',
      'Another worker has it, and is not done ready: 0 unacknowledged: 1',
      'hare.jpg is resized',
      'The handler is done: acknowledged ready: 0 unacknowledged: 0',
      'That worker has left too: nothing is back ready: 0 unacknowledged: 0',
    ]);
  },

  '06-worker-dies.ts': (lines) => {
    const victim = /^(worker \d) is dead: SIGKILL$/.exec(
      lines.find((line) => line.includes('dead')) ?? '',
    )?.[1];
    const heir = victim === 'worker 1' ? 'worker 2' : 'worker 1';
    expect(
      lines
        .slice(0, 2)
        .map((line) => line.replace(/\d+$/, 'n'))
        .sort(),
    ).toEqual(['worker 1 is ready: process n', 'worker 2 is ready: process n']);
    // What the parent prints and what its workers print may come in either order.
    const story = [
      `${victim} takes invoice 42: attempt 1, not redelivered`,
      `${heir} takes invoice 42: attempt 2, redelivered`,
      `${heir} has finished invoice 42`,
      'Messages left in the queue: 0. invoice 42 is done.',
    ];
    expect(lines.filter((line) => story.includes(line))).toEqual(story);
    expect(lines.slice(2).filter((line) => !story.includes(line))).toEqual([
      'invoice 42 is sent',
      `${victim} is dead: SIGKILL`,
    ]);
  },

  '07-automatic-acknowledgement.ts': (lines) => {
    expect(lines[0]).toBe('Acknowledged automatic:');
    expect(lines[2]).toMatch(/^0 are still in the queue for the next worker, [1-9] are lost$/);
    expect(lines[3]).toBe('Acknowledged after the work:');
    expect(lines[5]).toMatch(/^[1-9] are still in the queue for the next worker, 0 are lost$/);
  },

  '08-iterator-and-callback.ts': (lines) => {
    expect(lines).toEqual([
      'for await: one, two, three, four, five',
      'callback:  one, two, three, four, five',
      'The same: yes',
      'Left in the queue: 0',
    ]);
  },

  '09-unroutable.ts': (lines) => {
    expect(lines[0]).toMatch(/^parcel 1: UnroutableError \(UNROUTABLE\): .*'example\.parcels'/);
    expect(lines.slice(1)).toEqual([
      'parcel 2: sent without "mandatory": no error, and it is gone',
      'parcel 3: the queue is there now: sent',
      'The queue holds 1 message of 3.',
    ]);
  },

  '10-publish-subscribe.ts': (lines) => {
    expect(lines.slice(5).map((line) => line.replace(/ +/g, ' '))).toEqual([
      'billing *.paid got 2, 4, 5',
      'archive everything got 1, 2, 3, 4, 5',
      'screen 1 eu.* got 1, 2',
      'screen 2 eu.* and us.* got 1, 2, 3, 4',
    ]);
  },

  '11-deferred.ts': (lines) => {
    // What is at once may arrive before its confirm.
    expect(lines.slice(0, 2).sort()).toEqual([
      'All four are safe on the server; three wait there.',
      'at once: on time',
    ]);
    expect(lines.slice(2)).toEqual([
      'after one second: on time',
      'at a date, two seconds on: on time',
      'after three seconds: on time',
      '4 arrived, 0 too early',
    ]);
  },

  '12-connection-as-context.ts': (lines) => {
    expect(lines).toEqual([
      'A block that returns:',
      'inside: the broker is connected',
      'inside: 100 sends are under way',
      'outside: the broker is closed',
      'A block that throws:',
      'inside: the broker is connected',
      'outside: the broker is closed, and the error is there: Error: the sensor has failed',
      'The queue holds 100 of 100 readings.',
    ]);
  },

  '13-too-large.ts': (lines) => {
    expect(lines[0]).toMatch(/^MessageTooLargeError \(MESSAGE_TOO_LARGE\): /);
    expect(lines[1]).toMatch(/^4194\d{3} bytes, 1048576 are allowed; nothing was sent$/);
    expect(lines[2]).toMatch(/^A task of \d{2,3} bytes led to contract\.tif: 3145728 bytes$/);
    expect(lines[3]).toBe('the same as before: yes');
  },

  '14-dead-letters.ts': (lines) => {
    const part = (from: string, to: string) => lines.slice(lines.indexOf(from) + 1, lines.indexOf(to));
    const [dead, vain, mended] = [
      'Dead letters:',
      'A replay with nothing mended:',
      'A replay after the schema and the handler were mended:',
    ] as const;
    expect(part('Five people sign up:', dead)).toEqual(['ada@example.com: welcome, VAT 19 %']);
    expect(part(dead, vain)).toEqual([
      'grace@example.com: TypeError at attempt 2: no VAT rate for US',
      expect.stringMatching(/^linus@example\.com: INVALID_BODY at attempt 1: country: /),
      'mallory@example.com: DeadLetter at attempt 1: this address is banned',
      expect.stringMatching(/^margaret@example\.com: INVALID_BODY at attempt 1: country: /),
    ]);
    expect(part(vain, mended)).toEqual(['0 put back, 2 do not fit the schema, 2 left out']);
    const rest = lines.slice(lines.indexOf(mended) + 1);
    expect(rest.filter((line) => / of 4$/.test(line))).toEqual(['1 of 4', '2 of 4', '3 of 4', '4 of 4']);
    expect(rest.filter((line) => line.includes('welcome')).sort()).toEqual([
      'grace@example.com: welcome, VAT 0 %, attempt 1',
      'linus@example.com: welcome, VAT 19 %, attempt 1',
      'margaret@example.com: welcome, VAT 19 %, attempt 1',
    ]);
    expect(rest.slice(-2)).toEqual([
      '3 put back, 0 do not fit the schema, 1 left out',
      'The rest is thrown away: 1 dead letter.',
    ]);
  },

  '16-request-reply.ts': (lines) => {
    expect(lines).toEqual([
      'No service has ever run:',
      expect.stringMatching(/^MUG-HARE: UNROUTABLE: No responder is available for the procedure/),
      'Two instances run:',
      'MUG-HARE: 12.50 EUR until 2030',
      "CAP-DOG: REMOTE UNKNOWN_SKU: The responder of the procedure 'example.quote' failed: there is no CAP-DOG",
      expect.stringMatching(
        /^\(no sku\): INVALID_BODY: Invalid body for the procedure 'example\.quote': sku: /,
      ),
      '40 requests at once: each got its own answer',
      'The work was shared: service 1 and service 2',
      'Both have stopped:',
      expect.stringMatching(/^MUG-HARE: TIMEOUT: No response .* within 1000 ms: no responder is running/),
    ]);
  },

  '17-cluster.ts': (lines) => {
    expect(lines.some((line) => line.startsWith('connected to '))).toBe(true);
    expect(lines.slice(-2)).toEqual([
      '300 payments are confirmed.',
      '300 payments are handled, 0 are missing.',
    ]);
  },

  '20-stream.ts': (lines) => {
    const all = '1 at 0, 2 at 1, 3 at 2, 4 at 3, 5 at 4';
    expect(lines).toEqual([
      '5 prices are in the stream',
      `first reader: ${all}`,
      `second reader: ${all}`,
      'before the break: 4',
      'after the break: 5',
      'live: 6',
    ]);
  },

  '21-batches.ts': (lines) => {
    const sizes = lines.slice(0, -1).map((line) => Number(/^one INSERT of (\d+) rows$/.exec(line)?.[1]));
    expect(sizes.reduce((sum, size) => sum + size)).toBe(249);
    for (const size of sizes) expect(size).toBeLessThanOrEqual(100);
    expect(lines.at(-1)).toBe('249 rows inserted, 1 dead-lettered');
  },

  '22-order-by-key.ts': (lines) => {
    expect(lines.map((line) => line.replace(/ +/g, ' '))).toEqual([
      ...['Ada', 'Bob', 'Cleo', 'Dan'].map((account) => `${account} 1 2 3 4 5 6`),
      'retried: 1',
      'several accounts at once: yes, never more than 4',
    ]);
  },

  '23-priorities.ts': (lines) => {
    expect(lines.slice(1)).toEqual([
      'Answered: the fire brigade, a customer, a survey',
      'The consumer with the higher priority goes first: expert, expert, expert',
    ]);
  },
};

/** The longest that a process may live on after its last word, which a forgotten timer or socket exceeds. */
const MAX_LINGER_MS = 5_000;

interface Outcome {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** How long it lived on after it had printed its last line. */
  readonly lingeredMs: number;
}

const running = new Set<ChildProcess>();

/** Runs a file of the folder as a newcomer does. */
async function run(
  file: string,
  args: readonly string[],
  url: string | undefined,
  environment: Readonly<Record<string, string>> = {},
): Promise<Outcome> {
  const management = url === undefined ? undefined : inject('server').managementUrl;
  const child = spawn(process.execPath, ['--import', 'tsx', fileURLToPath(new URL(file, folder)), ...args], {
    env: { ...process.env, ...environment, RABBITMQ_URL: url, RABBITMQ_MANAGEMENT_URL: management },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const output = { stdout: '', stderr: '' };
  let lastWordAt = performance.now();
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
      lastWordAt = performance.now();
    });
  }
  const [exitCode] = await once(child, 'close');
  running.delete(child);
  return { exitCode, ...output, lingeredMs: performance.now() - lastWordAt };
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

let vhost: TestVhost;
beforeAll(async () => {
  vhost = await createVhost();
});
afterAll(async () => {
  for (const child of running) child.kill('SIGKILL');
  await vhost[Symbol.asyncDispose]();
});

/** Those of the delays are every program's, and stay. */
async function queueNames(): Promise<string[]> {
  const names = (await vhost.management.queues()).map(({ name }) => name);
  return names.filter((name) => !name.startsWith('leveret.delay.'));
}

describe('each example', () => {
  it('has an expectation here', () => {
    expect(Object.keys(expectations).sort()).toEqual([...files].sort());
  });

  it.each(files)(
    '%s does on a server what it says, ends by itself and leaves no queue behind',
    async (file) => {
      const { exitCode, stdout, stderr, lingeredMs } = await run(file, [], vhost.url);
      expect(stderr).toBe('');
      expect(exitCode, stdout).toBe(0);
      expect(lingeredMs).toBeLessThan(MAX_LINGER_MS);
      expectations[file]?.(linesOf(stdout));
      expect(await queueNames()).toEqual([]);
    },
  );

  it.each(files.filter((file) => !onServerOnly.includes(file)))(
    '%s does the same in memory, without RABBITMQ_URL',
    async (file) => {
      const { exitCode, stdout, stderr, lingeredMs } = await run(file, [], undefined);
      expect(stderr).toBe('');
      expect(exitCode, stdout).toBe(0);
      expect(lingeredMs).toBeLessThan(MAX_LINGER_MS);
      expectations[file]?.(linesOf(stdout));
    },
  );
});

describe('the launcher', () => {
  it.each(['9', '09', '09-unroutable'])('runs the example %s on the server in RABBITMQ_URL', async (name) => {
    const { exitCode, stdout, stderr } = await run('run.ts', [name], vhost.url);
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
    expectations['09-unroutable.ts']?.(linesOf(stdout));
  });

  it('runs the main job in memory when there is nothing else, within seconds', async () => {
    // No Docker and no RabbitMQ to be found, nor anything to install one with.
    const nothing = { PATH: '/nonexistent', DOCKER_HOST: 'tcp://127.0.0.1:1', RABBITMQ_ROOT: '/nonexistent' };
    const startedAt = performance.now();
    const { exitCode, stdout, stderr } = await run('run.ts', [], undefined, nothing);
    expect(stderr).toBe('');
    expect(exitCode).toBe(0);
    const [first = '', ...lines] = linesOf(stdout);
    expect(first).toContain('In memory');
    expectations['main.ts']?.(lines);
    expect(performance.now() - startedAt).toBeLessThan(20_000);
  });

  it.each(onServerOnly)(
    'starts a server for %s without RABBITMQ_URL, and stops it',
    {
      timeout: 180_000,
    },
    async (file) => {
      const { exitCode, stdout, stderr } = await run('run.ts', [file.slice(0, 2)], undefined);
      expect(stderr).toBe('');
      expect(exitCode, stdout).toBe(0);
      const [found = '', host, port] = /^RabbitMQ \d.* at (.+):(\d+)$/m.exec(stdout) ?? [];
      expectations[file]?.(linesOf(stdout.slice(stdout.indexOf(found) + found.length)));
      const connected = once(connect(Number(port), host), 'connect');
      await expect(connected).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    },
  );

  it('names the examples when there is none of that name', async () => {
    const { exitCode, stdout, stderr } = await run('run.ts', ['99'], vhost.url);
    expect(exitCode).toBe(1);
    expect(stdout).toBe('');
    const names = linesOf(stderr).slice(1);
    const applications = ['fastify', 'nestjs'];
    expect(names.sort()).toEqual([...files.map((file) => file.replace('.ts', '')), ...applications].sort());
  });

  it('passes the exit code of the example on', async () => {
    const nowhere = 'amqp://localhost:port';
    const { exitCode, stderr } = await run('run.ts', ['09'], nowhere);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('INVALID_URL');
  });
});
