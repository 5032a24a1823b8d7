import type { FactoryProvider, InjectionToken, ModuleMetadata, Type } from '@nestjs/common';
import { Broker, type BrokerOptions, ConfigurationError } from '../index.js';
import { type Check, checkOptions, expectBoolean, expectDuration, show } from '../util/checks.js';
import { BrokerLogger } from './nest-logger.js';

/**
 * The options of {@link LeveretModule.forRoot}: the URL of RabbitMQ, the options of a `Broker`, and those of the application.
 */
export interface LeveretModuleOptions extends BrokerOptions {
  /**
   * `amqp:` or `amqps:`, or a list of them: the hosts of a cluster. `memory:` is a broker inside this process. There is no
   * default: an environment variable that is not set is an error, and never localhost.
   */
  readonly url: string | readonly string[];
  /**
   * With `false` the application starts without waiting for RabbitMQ: it keeps connecting indefinitely, whatever
   * `startupTimeoutMs` says, and the consumers start later. A permanent failure is logged and reported by `isAlive`.
   * @defaultValue true
   */
  readonly wait?: boolean | undefined;
  /**
   * The time limit for closing the application, in milliseconds, 0 or more: first for running handlers, and then for pending
   * sends, together. At the deadline the signals of running handlers abort. @defaultValue 25000
   */
  readonly shutdownTimeoutMs?: number | undefined;
  /**
   * Also runs the application's global guards, interceptors, pipes and filters around `handle`. Most of these are written for
   * HTTP: a guard that checks a request header refuses every message. @defaultValue false
   */
  readonly inheritAppConfig?: boolean | undefined;
}

/** Creates the options of {@link LeveretModule.forRootAsync}, with `useClass` or `useExisting`. */
export interface LeveretOptionsFactory {
  /** Called once, when the application is created. */
  createLeveretOptions(): LeveretModuleOptions | Promise<LeveretModuleOptions>;
}

/** The source of the options of {@link LeveretModule.forRootAsync}. */
export type LeveretModuleAsyncOptions = Pick<ModuleMetadata, 'imports'> & {
  /** The name of the broker. @defaultValue 'default' */
  readonly broker?: string | undefined;
} & (
    | {
        /** Returns the options; receives the providers of `inject`. Called once, when the application is created. */
        readonly useFactory: FactoryProvider<LeveretModuleOptions>['useFactory'];
        /** The tokens of the factory's arguments. */
        readonly inject?: FactoryProvider['inject'];
        readonly useClass?: undefined;
        readonly useExisting?: undefined;
      }
    | {
        /** A class that returns the options; Nest instantiates it. */
        readonly useClass: Type<LeveretOptionsFactory>;
        readonly useFactory?: undefined;
        readonly useExisting?: undefined;
      }
    | {
        /** The token of a provider that returns the options. */
        readonly useExisting: InjectionToken<LeveretOptionsFactory>;
        readonly useFactory?: undefined;
        readonly useClass?: undefined;
      }
  );

/** The options of the application, with every default filled in. */
export interface ResolvedModuleOptions {
  readonly wait: boolean;
  readonly shutdownTimeoutMs: number;
  readonly inheritAppConfig: boolean;
}

/** The options of a broker that a test has put in the place of the configured one. */
export const DEFAULT_OPTIONS: ResolvedModuleOptions = {
  wait: true,
  shutdownTimeoutMs: 25_000,
  inheritAppConfig: false,
};

const moduleChecks: Readonly<Record<string, Check>> = {
  wait: expectBoolean,
  shutdownTimeoutMs: expectDuration(0, { infinity: true }),
  inheritAppConfig: expectBoolean,
};

/**
 * Checks the options, fills in the defaults, and creates the broker, without any I/O.
 *
 * @throws ConfigurationError for a missing URL, an unknown option or a value out of range
 */
export function openBroker(
  name: string,
  options: LeveretModuleOptions,
): { readonly broker: Broker; readonly resolved: ResolvedModuleOptions } {
  const where = name === 'default' ? 'LeveretModule' : `LeveretModule, the broker '${name}'`;
  if (typeof options !== 'object' || options === null) {
    throw new ConfigurationError('options', `${where}: expected an options object, got ${show(options)}`);
  }
  const { url, wait, shutdownTimeoutMs, inheritAppConfig, ...brokerOptions } = options;
  checkOptions(where, { wait, shutdownTimeoutMs, inheritAppConfig }, moduleChecks);
  const resolved = {
    wait: wait ?? DEFAULT_OPTIONS.wait,
    shutdownTimeoutMs: shutdownTimeoutMs ?? DEFAULT_OPTIONS.shutdownTimeoutMs,
    inheritAppConfig: inheritAppConfig ?? DEFAULT_OPTIONS.inheritAppConfig,
  };
  const broker = new Broker(checkUrl(where, url), {
    ...brokerOptions,
    logger: brokerOptions.logger ?? new BrokerLogger(),
    ...(resolved.wait ? {} : { startupTimeoutMs: Infinity }),
  });
  return { broker, resolved };
}

function checkUrl(where: string, url: unknown): string | readonly string[] {
  const urls: readonly unknown[] = Array.isArray(url) ? url : [url];
  const isGiven = urls.length > 0 && urls.every((it) => typeof it === 'string' && it.trim() !== '');
  if (isGiven) return url as string | readonly string[];
  throw new ConfigurationError(
    'url',
    `${where}: option 'url' must be a URL or a list of them, got ${url === '' ? 'an empty string' : show(url)}`,
  );
}
