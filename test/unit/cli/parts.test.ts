import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { parse } from '../../../src/cli/arguments.js';
import { bodyOf } from '../../../src/cli/body.js';
import { commands } from '../../../src/cli/commands.js';
import { bashScript } from '../../../src/cli/completion/bash.js';
import { fishScript } from '../../../src/cli/completion/fish.js';
import { zshScript } from '../../../src/cli/completion/zsh.js';
import { run } from '../../../src/cli/run.js';
import { Secrets, shown } from '../../../src/cli/secrets.js';
import { resolveWhere, whereOptions } from '../../../src/cli/server-address.js';
import { Terminal } from '../../../src/cli/terminal.js';
import { printable, table, toJson } from '../../../src/cli/text.js';

const specs = {
  limit: { type: 'string', value: 'N', help: '' },
  id: { type: 'string', multiple: true, help: '' },
  yes: { type: 'boolean', short: 'y', help: '' },
} as const;

/** The streams of a process, as a terminal or not. */
function streams({ isTTY = false, env = {} }: { isTTY?: boolean; env?: Record<string, string> } = {}) {
  const stream = () => Object.assign(new PassThrough(), { isTTY });
  return { stdin: stream(), stdout: stream(), stderr: stream(), env };
}

const NEVER = new AbortController().signal;

async function outcome(line: readonly string[], env: Record<string, string> = {}) {
  const all = streams({ env });
  const code = await run(line, all, NEVER);
  const read = (stream: PassThrough) => String(stream.read() ?? '');
  return { code, stdout: read(all.stdout), stderr: read(all.stderr) };
}

describe('the arguments of the command', () => {
  it('are taken in any order, and repeated where that makes sense', () => {
    const { positionals, values } = parse(['a', '--id', '1', '-y', 'b', '--id=2', '--limit', '10'], specs);
    expect(positionals).toEqual(['a', 'b']);
    expect(values.all('id')).toEqual(['1', '2']);
    expect(values.flag('yes')).toBe(true);
    expect(values.integer('limit', { min: 1, max: 10 })).toBe(10);
  });

  it.each([
    [['--limt', '5'], 'unknown option'],
    [['--limit'], 'needs a value'],
    [['--limit', '--yes'], 'needs a value'],
    [['--limit', '1', '--limit', '2'], 'twice'],
    [['--yes=no'], 'takes no value'],
  ])('are refused where they are wrong: %j', (line, complaint) => {
    expect(() => parse(line, specs)).toThrow(complaint);
  });

  it.each(['x', '0', '11', '1.5', '-1', ''])('are refused where they are no number in range: %j', (text) => {
    const { values } = parse([`--limit=${text}`], specs);
    expect(() => values.integer('limit', { min: 1, max: 10 })).toThrow('from 1 to 10');
  });
});

describe('the exit codes of the command', () => {
  it.each([
    [['--version'], 0],
    [['--help'], 0],
    [['dead', '--help'], 0],
    [['help', 'send'], 0],
    [[], 2],
    [['nothing'], 2],
    [['dead', 'nothing'], 2],
    [['send'], 2],
    [['send', 'q', '{}', 'more'], 2],
    [['tail'], 2],
    [['tail', 'q', '--exchange', 'x'], 2],
    [['queues', '--contracts', '/nowhere/at-all.js'], 2],
    [['doctor', 'http://localhost'], 2],
    [['completion', 'tcsh'], 2],
    [['dead', 'purge', 'q'], 2],
    [['doctor', '--url', 'amqp://127.0.0.1:1'], 3],
    [['tail', 'q', '--url', 'amqp://127.0.0.1:1'], 3],
  ])('tell what happened: leveret %j', async (line, expected) => {
    const { code, stdout, stderr } = await outcome(line);
    expect(code).toBe(expected);
    if (expected > 0 && line.length > 0)
      expect({ stdout, stderr }).toEqual({ stdout: '', stderr: expect.stringMatching(/^leveret: .+\n$/) });
  });

  it('come with a help for each command', async () => {
    for (const { name, examples, options } of commands) {
      const { code, stdout } = await outcome([...name.split(' '), '--help']);
      expect(code).toBe(0);
      for (const text of [...examples, ...Object.keys(options)]) expect(stdout).toContain(text);
    }
  });
});

describe('a password', () => {
  const password = 'canary/7f3a%&';
  const encoded = encodeURIComponent(password);

  it.each([
    [['doctor', `amqp://app:${encoded}@127.0.0.1:1/shop`]],
    [['doctor', `amqp:app:${encoded}@host`]],
    [['doctor', '--ulr', `amqp://app:${encoded}@127.0.0.1:1`]],
    [['doctor', `--url=amqp://app:${password}@127.0.0.1:1`]],
    [['doctor', 'amqp://127.0.0.1:1', `amqp://app:${encoded}@127.0.0.1:1`]],
    [[`amqp://app:${encoded}@127.0.0.1:1`]],
    [['queues', '--limit', `amqp://app:${encoded}@host`]],
    [['queues', '--management-url', `http://app:${encoded}@127.0.0.1:1:1`]],
    [['queues', '--management-url', `http://app:${encoded}@127.0.0.1:1`, '--url', 'amqp://127.0.0.1:1']],
  ])('is in no error: %#', async (line) => {
    const { code, stdout, stderr } = await outcome(line);
    expect(code).toBeGreaterThan(1);
    for (const form of [password, encoded, Buffer.from(password).toString('base64')]) {
      expect(stdout + stderr).not.toContain(form);
    }
  });

  it('is taken out of what others say, but for one that is the name of the user too', () => {
    const secrets = new Secrets();
    resolveWhere(parse(['--url', `amqp://app:${encoded}@host`], whereOptions).values, {}, secrets);
    expect(secrets.hide(`connect to amqp://app:${encoded}@host (${password})`)).toBe(
      'connect to amqp://app:…@host (…)',
    );
    expect(shown('amqp:app:secret@host')).toBe("'…@host'");
    const guest = new Secrets();
    guest.add('guest', 'guest');
    expect(guest.hide('the user guest')).toBe('the user guest');
  });
});

describe('what the command prints', () => {
  it('has no character that a terminal would act on', () => {
    expect(printable('a\u001b[31m\u0007\n\u009b\u202eb')).toBe('a\\x1b[31m\\x07\\n\\x9b\\u202eb');
    const json = toJson({ name: 'a\u009b\u202e\u007f', big: 2n });
    expect(json).toBe('{"name":"a\\u009b\\u202e\\u007f","big":"2"}');
    expect(JSON.parse(json)).toEqual({ name: 'a\u009b\u202e\u007f', big: '2' });
  });

  it('is aligned in tables, and cut to the width of a terminal', () => {
    const columns = [{ title: 'A' }, { title: 'N', align: 'right' as const }, { title: 'TEXT' }];
    const rows = [
      ['long name', '1', 'a text that goes on'],
      ['b', '100', 'c'],
    ];
    expect(table(columns, rows, { width: 26 })).toEqual([
      'A            N  TEXT',
      'long name    1  a text th…',
      'b          100  c',
    ]);
  });

  it('leaves out optional columns of a table, the last one first, in a narrow terminal', () => {
    const columns = [
      { title: 'ID' },
      { title: 'N', isOptional: true as const },
      { title: 'M', isOptional: true as const },
    ];
    const withText = [...columns, { title: 'TEXT' }];
    const rows = [['12345678', '1', '2', 'a text that goes on and on']];
    expect(table(withText, rows, { width: 32 })[0]).toBe('ID        N  M  TEXT');
    expect(table(withText, rows, { width: 31 })[0]).toBe('ID        N  TEXT');
    expect(table(withText, rows, { width: 20 })).toEqual(['ID        TEXT', '12345678  a text th…']);
  });

  it('breaks the lines of the help between words, as wide as the terminal is', async () => {
    const all = streams({ isTTY: true, env: { NO_COLOR: '1' } });
    await run(['queues', '--help'], { ...all, stdout: Object.assign(all.stdout, { columns: 60 }) }, NEVER);
    const lines = String(all.stdout.read()).split('\n');
    expect(lines.filter((line) => line.length > 60 && !line.includes('amqp://user:password'))).toEqual([]);
    expect(lines).toContain('                            contracts, also within arrays');
  });

  it.each([
    [['quues'], "there is no command 'quues'; did you mean leveret queues?"],
    [['dead', 'lst'], "there is no command 'dead lst'; did you mean leveret dead list?"],
    [['xyz'], "there is no command 'xyz'; see leveret --help"],
    [['queues', '--jsn'], "unknown option '--jsn'; did you mean --json?"],
  ])('names what was meant: leveret %j', async (line, text) => {
    expect((await outcome(line)).stderr).toBe(`leveret: ${text}\n`);
  });

  it.each([
    [{}, false, false],
    [{}, true, true],
    [{ NO_COLOR: '1' }, true, false],
    [{ NO_COLOR: '' }, true, true],
    [{ TERM: 'dumb' }, true, false],
    [{ FORCE_COLOR: '1' }, false, true],
    [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false, true],
    [{ FORCE_COLOR: '0' }, true, false],
  ])('is coloured where that is wanted: %j, a terminal: %j', (env, isTTY, expected) => {
    const terminal = new Terminal(streams({ isTTY, env }));
    expect(terminal.palette.good('x') !== 'x').toBe(expected);
  });

  it.each([
    [{}, true, true],
    [{}, false, false],
    [{ NO_COLOR: '1' }, true, false],
    [{ FORCE_COLOR: '1' }, false, false],
  ])('has a progress bar only in a terminal: %j, a terminal: %j', (env, isTTY, expected) => {
    const all = streams({ isTTY, env });
    new Terminal(all).progress('sent', 1, 2);
    expect(all.stderr.read() !== null).toBe(expected);
  });

  it('gives a body as JSON, or as base64', () => {
    expect(bodyOf(Buffer.from('{"a":1}'))).toEqual({ body: { a: 1 } });
    expect(bodyOf(Buffer.from('text'))).toEqual({ bodyBase64: 'dGV4dA==' });
    expect(bodyOf(Buffer.from([0xff]))).toEqual({ bodyBase64: '/w==' });
  });
});

describe('the completion scripts', () => {
  it('substitute no command inside of double quotes, where fish does not', () => {
    const quoted = fishScript().match(/"[^"\n]*"/g) ?? [];
    expect(quoted.length).toBeGreaterThan(0);
    expect(quoted.filter((text) => text.includes('('))).toEqual([]);
  });

  it.each([
    ['bash', bashScript],
    ['zsh', zshScript],
    ['fish', fishScript],
  ])('know every command and option: %s', (_shell, script) => {
    const text = script();
    for (const { name, options } of commands) {
      for (const word of name.split(' ')) expect(text).toContain(word);
      for (const option of Object.keys(options)) expect(text).toContain(option);
    }
  });
});
