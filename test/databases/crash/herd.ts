import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** So many wait in all. */
const SPARES = 4;

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Processes of one program, of which some are at work, and others wait to take the place of one that is killed. */
export class Herd implements AsyncDisposable {
  kills = 0;
  readonly #file: string;
  readonly #args: readonly string[];
  readonly #atWork: ChildProcess[] = [];
  readonly #spares: Promise<ChildProcess>[] = [];
  #isEnding = false;

  /** Bundles the program first: it has to be up again in a moment. */
  static async of(program: URL, args: readonly string[], size: number): Promise<Herd> {
    const folder = await mkdtemp(join(root, 'node_modules', '.herd-'));
    const file = join(folder, 'program.mjs');
    await build({
      entryPoints: [fileURLToPath(program)],
      outfile: file,
      bundle: true,
      format: 'esm',
      platform: 'node',
      packages: 'external',
      logLevel: 'error',
      alias: {
        leveret: join(root, 'src/index.ts'),
        'leveret/postgres': join(root, 'src/postgres/index.ts'),
      },
    });
    const herd = new Herd(file, args);
    for (let n = 0; n < size + SPARES; n++) herd.#spares.push(herd.#spawn());
    for (let n = 0; n < size; n++) await herd.#replace();
    return herd;
  }

  private constructor(file: string, args: readonly string[]) {
    this.#file = file;
    this.#args = args;
  }

  /** Stands still, as a process does whose machine is suspended. */
  freeze(): void {
    for (const child of this.#atWork) child.kill('SIGSTOP');
  }

  thaw(): void {
    for (const child of this.#atWork) child.kill('SIGCONT');
  }

  /** Kills the one that is longest at work, and puts another one in its place. */
  async killOne(): Promise<void> {
    const oldest = this.#atWork.shift();
    if (!oldest) return;
    const gone = once(oldest, 'exit');
    oldest.kill('SIGKILL');
    this.kills++;
    await Promise.all([gone, this.#replace()]);
  }

  /** Kills one after another, until the time is over and enough were killed: a busy machine is slow to start them. */
  async killFor(durationMs: number, atLeast: number, pauseMs: () => number): Promise<void> {
    const until = performance.now() + durationMs;
    while (performance.now() < until || this.kills < atLeast) {
      await delay(pauseMs());
      await this.killOne();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    const all = [...this.#atWork, ...(await Promise.all(this.#spares))];
    for (const child of all) child.kill('SIGKILL');
    await rm(join(this.#file, '..'), { recursive: true, force: true });
  }

  async #replace(): Promise<void> {
    if (this.#isEnding) return;
    this.#spares.push(this.#spawn());
    const next = await this.#spares.shift();
    if (!next) return;
    this.#atWork.push(next);
    next.stdin?.write('go\n');
  }

  async #spawn(): Promise<ChildProcess> {
    const child = spawn(process.execPath, [this.#file, ...this.#args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    child.stdin.on('error', () => {});
    await once(child.stdout, 'data');
    return child;
  }
}
