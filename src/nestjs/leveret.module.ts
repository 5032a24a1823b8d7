import { type DynamicModule, type FactoryProvider, Module, type Provider } from '@nestjs/common';
import { type Broker, ConfigurationError } from '../index.js';
import { show } from '../util/checks.js';
import { BrokerHost } from './broker-host.js';
import { BrokerSettings } from './broker-settings.js';
import { checkKind } from './check-kind.js';
import type {
  LeveretModuleAsyncOptions,
  LeveretModuleOptions,
  LeveretOptionsFactory,
  OptionsSource,
} from './module-options.js';
import { LeveretRuntime } from './runtime.js';
import { LeveretRuntimeModule } from './runtime.module.js';
import {
  DEFAULT_BROKER,
  getBrokerToken,
  getProducerToken,
  getRequesterToken,
  hostToken,
  settingsToken,
} from './tokens.js';
import type { FeatureContract } from './types.js';

/** The module class of `forFeature`. */
export class LeveretFeatureModule {}

/**
 * Leveret as a module of Nest: connections that live as long as the application, injection, and the start and the end of its
 * consumers and responders.
 *
 * @example
 * ```ts
 * @Module({
 *   imports: [
 *     LeveretModule.forRoot({ url: 'amqp://localhost', name: 'billing' }),
 *     LeveretModule.forFeature([emails, orders, quote]),
 *   ],
 * })
 * class AppModule {}
 * ```
 */
export class LeveretModule {
  /**
   * Sets up one broker, for all modules. `NestFactory.create()` does no I/O: `app.init()` and `app.listen()` connect the
   * broker, and `app.close()` closes it.
   *
   * @param options - the URL of RabbitMQ, the options of a `Broker`, and `broker`: its name, if there are several. With wrong
   * options, `app.init()` rejects with a `ConfigurationError`
   */
  static forRoot(options: LeveretModuleOptions & { readonly broker?: string | undefined }): DynamicModule {
    // Options of another type are refused when the application starts, like any other mistake in them.
    const { broker = DEFAULT_BROKER } = Object(options) as typeof options;
    return rootModule({ broker, method: 'forRoot' }, [], { useFactory: () => options, inject: [] });
  }

  /**
   * Like {@link LeveretModule.forRoot}, with options that a factory or a class returns when the application is created.
   *
   * @throws ConfigurationError without a factory or a class
   */
  static forRootAsync(options: LeveretModuleAsyncOptions): DynamicModule {
    const given = Object(options) as LeveretModuleAsyncOptions;
    const { broker = DEFAULT_BROKER, imports = [], useFactory, useClass, useExisting } = given;
    const source: OptionsSource = { broker, method: 'forRootAsync' };
    if (useFactory) return rootModule(source, imports, { useFactory, inject: given.inject ?? [] });
    const token = useClass ?? useExisting;
    if (!token) {
      throw new ConfigurationError(
        'useFactory',
        "LeveretModule.forRootAsync: expected 'useFactory', 'useClass' or 'useExisting'",
      );
    }
    const made = {
      useFactory: (factory: LeveretOptionsFactory) => factory.createLeveretOptions(),
      inject: [token],
    };
    return rootModule(source, imports, made, useClass ? [useClass] : []);
  }

  /**
   * Provides a `Producer` for each queue and exchange, and a `Requester` for each procedure, to the importing module. The
   * queues and exchanges are declared when the application starts.
   *
   * @param contracts - what the module sends to
   * @param options - `broker`: the broker's name in `forRoot`, if it is not the default one
   * @throws ConfigurationError for anything but a queue, an exchange or a procedure, and for two contracts with one name
   */
  static forFeature(
    contracts: readonly FeatureContract[],
    options: { readonly broker?: string | undefined } = {},
  ): DynamicModule {
    const { broker = DEFAULT_BROKER } = options;
    if (!Array.isArray(contracts)) {
      throw new ConfigurationError(
        'contracts',
        `LeveretModule.forFeature: expected a list of contracts, got ${show(contracts)}`,
      );
    }
    const providers = contracts.map((contract) => featureProvider(contract, broker));
    const tokens = providers.map(({ provide }) => provide);
    const twice = contracts.find(
      (contract, at) => contracts.indexOf(contract) === at && tokens.lastIndexOf(tokens[at] as string) !== at,
    );
    if (twice && contracts.some((it) => it !== twice && it.kind === twice.kind && it.name === twice.name)) {
      throw new ConfigurationError(
        'contracts',
        `LeveretModule.forFeature: there are two contracts of the ${twice.kind} '${twice.name}'`,
      );
    }
    return {
      module: LeveretFeatureModule,
      providers: [
        ...providers,
        {
          provide: `LeveretFeature(broker ${JSON.stringify(broker)})`,
          useFactory: (host: BrokerHost | undefined) => hostOf(host, broker).feature(contracts),
          inject: [{ token: hostToken(broker), optional: true }],
        },
      ],
      exports: [...new Set(tokens)],
    };
  }
}

Module({})(LeveretModule);
Module({})(LeveretFeatureModule);

type OptionsProvider = Pick<FactoryProvider<LeveretModuleOptions>, 'useFactory' | 'inject'>;

function rootModule(
  source: OptionsSource,
  imports: NonNullable<DynamicModule['imports']>,
  { useFactory, inject = [] }: OptionsProvider,
  providers: readonly Provider[] = [],
): DynamicModule {
  const { broker: name } = source;
  const settings = settingsToken(name);
  const broker = getBrokerToken(name);
  const host = hostToken(name);
  return {
    module: LeveretModule,
    global: true,
    imports: [...imports, LeveretRuntimeModule],
    providers: [
      ...providers,
      // The state belongs to one application, while this module class may serve many.
      { provide: settings, useFactory: () => new BrokerSettings(source) },
      {
        // A test can replace this provider with its own broker: then nothing reads the options.
        provide: broker,
        useFactory: async (own: BrokerSettings, ...args: unknown[]) => own.open(await useFactory(...args)),
        inject: [settings, ...inject],
      },
      {
        provide: host,
        useFactory: (runtime: LeveretRuntime, own: BrokerSettings, opened: Broker) =>
          runtime.add(new BrokerHost(own, opened)),
        inject: [LeveretRuntime, settings, broker],
      },
    ],
    exports: [broker, host],
  };
}

function featureProvider(contract: FeatureContract, broker: string) {
  checkKind('contracts', 'LeveretModule.forFeature', contract, ['queue', 'exchange', 'procedure']);
  const inject = [{ token: hostToken(broker), optional: true }];
  if (contract.kind === 'procedure') {
    return {
      provide: getRequesterToken(contract, broker),
      useFactory: (host: BrokerHost | undefined) => hostOf(host, broker).requester(contract),
      inject,
    };
  }
  return {
    provide: getProducerToken(contract, broker),
    useFactory: (host: BrokerHost | undefined) => hostOf(host, broker).producer(contract),
    inject,
  };
}

function hostOf(host: BrokerHost | undefined, broker: string): BrokerHost {
  if (host) return host;
  throw new ConfigurationError(
    'broker',
    `LeveretModule.forFeature: there is no broker '${broker}'. Set it up with LeveretModule.forRoot`,
  );
}
