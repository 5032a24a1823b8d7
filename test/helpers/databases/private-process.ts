import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Who a server runs as: PostgreSQL refuses to run as root. */
export interface Identity {
  readonly uid?: number;
  readonly gid?: number;
}

/**
 * Ends what this process leaves behind, however it ends itself: it waits for the other end of its input to go away, then
 * kills the server and removes its folder.
 */
const watchdogScript = `
  cat >/dev/null
  kill -9 "$2" 2>/dev/null
  for attempt in 1 2 3 4 5; do
    rm -rf "$1" 2>/dev/null && exit
    sleep 1
  done`;

/** A user that may run a server: this one, or for root one of the system's. */
export async function unprivileged(): Promise<Identity> {
  if (process.getuid?.() !== 0) return {};
  const users = await readFile('/etc/passwd', 'utf8');
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] =
      users
        .split('\n')
        .find((line) => line.startsWith(`${name}:`))
        ?.split(':') ?? [];
    if (uid !== undefined) return { uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('PostgreSQL does not run as root, and there is no other user to run it as.');
}

/** A folder of this server alone. */
export async function privateFolder(name: string, { uid, gid }: Identity): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), `leveret-${name}-`));
  if (uid !== undefined && gid !== undefined) await chown(folder, uid, gid);
  return folder;
}

/** A server that runs in a folder of its own, and ends with this process. */
export class PrivateProcess {
  readonly #child: ChildProcess;
  readonly #watchdog: ChildProcess;
  #output = '';
  #stopped: Promise<void> | undefined;

  constructor(folder: string, program: string, args: readonly string[], identity: Identity) {
    this.#child = spawn(program, args, {
      ...identity,
      cwd: folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#output = (this.#output + text).slice(-4_000);
      });
      (stream as unknown as { unref(): void }).unref();
    }
    this.#child.on('error', (error) => {
      this.#output += error.message;
    });
    this.#child.unref();
    this.#watchdog = spawn('sh', ['-c', watchdogScript, 'watchdog', folder, `${this.#child.pid}`], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#watchdog.unref();
  }

  /** Resolves with what the probe does, once that works. */
  async answers<T>(probe: () => Promise<T>, timeoutMs = 30_000): Promise<T> {
    const giveUpAt = Date.now() + timeoutMs;
    while (true) {
      try {
        return await probe();
      } catch (error) {
        const isOver = this.#child.exitCode !== null || this.#child.signalCode !== null;
        if (isOver || Date.now() > giveUpAt) {
          await this.stop();
          throw new Error(`A server of the tests did not start. Its last output:\n${this.#output}`, {
            cause: error,
          });
        }
        await delay(50);
      }
    }
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const cleaned = once(this.#watchdog, 'close');
    this.#watchdog.ref();
    this.#watchdog.stdin?.end();
    await cleaned;
  }
}

export const run = promisify(execFile);
