import type { FactoryProvider, InjectionToken, ModuleMetadata, Type } from '@nestjs/common';
import { brokerChecks } from '../broker/options.js';
import { Broker, type BrokerOptions, ConfigurationError } from '../index.js';
import { type Check, checkOptions, expectBoolean, expectDuration, show } from '../util/checks.js';
import { DEFAULT_CLOSE_TIMEOUT_MS } from '../util/limits.js';
import { FAILURE_EVENTS, type FailureEvent } from './failure-log.js';
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

/** The options that a factory returns. The name of the broker is needed before the factory is called. */
type FactoryResult = LeveretModuleOptions & { readonly broker?: undefined };

/** The source of the options of {@link LeveretModule.forRootAsync}. */
export type LeveretModuleAsyncOptions = Pick<ModuleMetadata, 'imports'> & {
  /** The name of the broker. @defaultValue 'default' */
  readonly broker?: string | undefined;
} & (
    | {
        /** Returns the options; receives the providers of `inject`. Called once, when the application is created. */
        readonly useFactory: FactoryProvider<FactoryResult>['useFactory'];
        /** The tokens of the factory's arguments. */
        readonly inject?: FactoryProvider['inject'] | undefined;
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
  /** The events that the module itself logs, because the broker's logger does not. */
  readonly logs: readonly FailureEvent[];
}

/** The options of a broker that a test has put in the place of the configured one. */
export const DEFAULT_OPTIONS: ResolvedModuleOptions = {
  wait: true,
  shutdownTimeoutMs: DEFAULT_CLOSE_TIMEOUT_MS,
  inheritAppConfig: false,
  logs: FAILURE_EVENTS,
};

/** Checked by itself: a URL may contain a password. */
const urlCheck: Check = () => undefined;

const moduleChecks: Readonly<Record<string, Check>> = {
  url: urlCheck,
  wait: expectBoolean,
  shutdownTimeoutMs: expectDuration(0, { infinity: true }),
  inheritAppConfig: expectBoolean,
  ...brokerChecks,
};

/** Those of `forRoot`, which has the name of the broker among them. */
const rootChecks: Readonly<Record<string, Check>> = { ...moduleChecks, broker: () => undefined };

/** Where options come from. */
export interface OptionsSource {
  /** The name of the broker. */
  readonly broker: string;
  readonly method: 'forRoot' | 'forRootAsync';
}

/**
 * Checks the options, fills in the defaults, and creates the broker, without any I/O.
 *
 * @throws ConfigurationError for a missing URL, an unknown option or a value out of range
 */
export function openBroker(
  source: OptionsSource,
  options: LeveretModuleOptions & { readonly broker?: string | undefined },
): { readonly broker: Broker; readonly resolved: ResolvedModuleOptions } {
  const name = source.broker === 'default' ? '' : `, the broker ${show(source.broker)}`;
  const where = `LeveretModule.${source.method}${name}`;
  if (typeof options !== 'object' || options === null) {
    throw new ConfigurationError(
      'options',
      `${where}: expected an options object, got ${show(options)}. Pass at least { url }`,
    );
  }
  checkBroker(where, source, options.broker);
  const { broker: _checked, ...moduleOptions } = options;
  checkOptions(where, moduleOptions, source.method === 'forRoot' ? rootChecks : moduleChecks);
  const { url, wait, shutdownTimeoutMs, inheritAppConfig, ...brokerOptions } = moduleOptions;
  const resolved = {
    wait: wait ?? DEFAULT_OPTIONS.wait,
    shutdownTimeoutMs: shutdownTimeoutMs ?? DEFAULT_OPTIONS.shutdownTimeoutMs,
    inheritAppConfig: inheritAppConfig ?? DEFAULT_OPTIONS.inheritAppConfig,
    logs: brokerOptions.logger ? [] : (['consumer-failed'] as const),
  };
  const broker = new Broker(checkUrl(where, url), {
    ...brokerOptions,
    logger: brokerOptions.logger ?? new BrokerLogger('consumer-failed'),
    ...(resolved.wait ? {} : { startupTimeoutMs: Infinity }),
  });
  return { broker, resolved };
}

function checkBroker(where: string, source: OptionsSource, given: unknown): void {
  if (source.method === 'forRootAsync' && given !== undefined) {
    throw new ConfigurationError(
      'broker',
      `${where}: the factory must not return 'broker', because injection tokens are made of it before the factory is called. ` +
        "Put it beside 'useFactory', 'useClass' or 'useExisting'",
    );
  }
  const { broker } = source;
  if (typeof broker === 'string' && broker !== '') return;
  throw new ConfigurationError(
    'broker',
    `${where}: option 'broker' must be a non-empty string, got ${show(broker)}`,
  );
}

function checkUrl(where: string, url: unknown): string | readonly string[] {
  const refuse = (problem: string) =>
    new ConfigurationError('url', `${where}: option 'url' must be a URL or a list of them, ${problem}`);
  if (!Array.isArray(url)) {
    const problem = problemOf(url);
    if (problem) throw refuse(problem);
    return url as string;
  }
  const urls: readonly unknown[] = [...url];
  if (urls.length === 0) throw refuse('got an empty list');
  const problems = urls.map(problemOf);
  const at = problems.findIndex((it) => it !== undefined);
  if (at >= 0) throw refuse(`for entry ${at + 1} ${problems[at]}`);
  return url as readonly string[];
}

/** What is wrong with a URL that an unset environment variable has left incomplete; undefined if nothing is. */
function problemOf(url: unknown): string | undefined {
  if (typeof url !== 'string') return `got ${show(url)}`;
  if (url.trim() === '') return 'got an empty string';
  // Valid for other clients, which then connect to localhost.
  if (/^\s*amqps?:\/\/\s*(?:[/?#]|$)/i.test(url)) {
    return 'got one without a host: is an environment variable not set? Name localhost if you mean it';
  }
  return undefined;
}
