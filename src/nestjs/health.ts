import type { Broker, BrokerHealth } from '../index.js';

/** The source of an application's health. */
interface HealthSource {
  readonly hosts: readonly { readonly name: string; readonly broker: Broker }[];
  readonly failures: readonly { readonly who: string; readonly error: unknown }[];
}

/** The result of {@link LeveretHealthIndicator.isReady}, under its key. */
export type ReadinessResult<Key extends string = 'leveret'> = Record<
  Key,
  {
    status: 'up' | 'down';
    /** The health of each broker, by its name in `forRoot`. */
    brokers: Record<string, BrokerHealth['status']>;
  }
>;

/** The result of {@link LeveretHealthIndicator.isAlive}, under its key. */
export type LivenessResult<Key extends string = 'leveret'> = Record<
  Key,
  {
    status: 'up' | 'down';
    /** What has failed permanently, and why, if anything has. */
    message?: string;
  }
>;

/**
 * How Leveret is, in the shape that `@nestjs/terminus` takes from any function.
 *
 * @example
 * ```ts
 * @Controller('health')
 * class HealthController {
 *   constructor(private readonly leveret: LeveretHealthIndicator) {}
 *
 *   // With terminus: this.health.check([() => this.leveret.isReady()])
 *   @Get('ready')
 *   ready() {
 *     return this.leveret.isReady();
 *   }
 * }
 * ```
 */
export class LeveretHealthIndicator {
  readonly #source: HealthSource;

  /** @internal */
  constructor(source: HealthSource) {
    this.#source = source;
  }

  /** For a readiness endpoint: `down` while any broker has no connection. Never rejects. */
  async isReady<Key extends string = 'leveret'>(key?: Key): Promise<ReadinessResult<Key>> {
    const brokers = Object.fromEntries(
      this.#source.hosts.map(({ name, broker }) => [name, broker.health().status] as const),
    );
    const status = Object.values(brokers).includes('down') ? 'down' : 'up';
    return under(key, { status, brokers });
  }

  /**
   * For a liveness endpoint: `down` only when a consumer or a responder has failed permanently, so that a new process may
   * help. Never because RabbitMQ is unreachable, since a restart does not change that. Never rejects.
   */
  async isAlive<Key extends string = 'leveret'>(key?: Key): Promise<LivenessResult<Key>> {
    const message = this.#source.failures.map(({ who, error }) => `${who}: ${textOf(error)}`).join('; ');
    return under(key, message === '' ? { status: 'up' } : { status: 'down', message });
  }
}

function under<Key extends string, T>(key: Key | undefined, result: T): Record<Key, T> {
  return { [key ?? 'leveret']: result } as Record<Key, T>;
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
