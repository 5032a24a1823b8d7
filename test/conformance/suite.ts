import { Broker, type BrokerOptions } from 'leveret';
import { describe, it } from 'vitest';
import { type Target, type TargetOptions, targets } from './targets.js';

/** What a case gets: brokers on one target, closed at its end. */
export class Bench implements AsyncDisposable {
  readonly target: Target;
  readonly #brokers: Broker[] = [];

  constructor(target: Target) {
    this.target = target;
  }

  /** @param url - another way to the target than its own */
  async connect(options?: BrokerOptions, url = this.target.url): Promise<Broker> {
    const broker = await Broker.connect(url, options);
    this.#brokers.push(broker);
    return broker;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#brokers.map((broker) => broker.close({ timeoutMs: 2_000 })));
    await this.target[Symbol.asyncDispose]();
  }
}

export type Case = (bench: Bench) => Promise<void>;

/** Runs cases against every target, each fresh and empty. */
export function suite(title: string, cases: Readonly<Record<string, Case>>, options?: TargetOptions): void {
  for (const kind of targets) {
    describe(`${kind.name}: ${title}`, () => {
      for (const [name, run] of Object.entries(cases)) {
        it(name, async () => {
          await using bench = new Bench(await kind.open(options));
          await run(bench);
        });
      }
    });
  }
}
