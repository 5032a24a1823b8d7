import { Broker } from '../broker/broker.js';
import type { BrokerOptions, CloseOptions } from '../broker/options.js';
import { withTestHooks } from '../broker/test-hooks.js';
import type { InputOf, OutputOf, Schema } from '../contracts/body/schema.js';
import { isProcedure } from '../contracts/guards.js';
import type { Contract, ProcedureContract, QueueContract } from '../contracts/types.js';
import { ConfigurationError, TimeoutError } from '../errors.js';
import type { TableRelay } from '../outbox/table-relay.js';
import { MemoryServer, type ServerLink } from '../transport/memory/server.js';
import { MemoryTransport } from '../transport/memory/transport.js';
import { BEHAVIOURS, type ServerVersion } from '../transport/memory/version.js';
import { type Check, checkOptions, expectDate, expectOneOf } from '../util/checks.js';
import { systemClock } from '../util/clock.js';
import { Serial } from '../util/serial.js';
import { areTimersReal } from '../util/timers.js';
import { type Duration, toMs } from './duration.js';
import { IdleDetector } from './idle-detector.js';
import { type DeadLetteredMessage, type HandledMessage, Records, type SentMessage } from './records.js';
import { SimulatedCrash } from './simulated-crash.js';
import { VirtualClock } from './virtual-clock.js';

/** The options of {@link TestBroker.start}: those of a broker, and two of its server. */
export interface TestBrokerOptions extends BrokerOptions {
  /** The version of RabbitMQ to behave as: '3.13', '4.0' or '4.3'. @defaultValue '4.3' */
  readonly as?: ServerVersion | undefined;
  /** The virtual clock's time of day at the start. @defaultValue the current time */
  readonly startAt?: Date | undefined;
}

const testBrokerChecks: Readonly<Record<string, Check>> = {
  as: expectOneOf(...Object.keys(BEHAVIOURS)),
  startAt: expectDate,
};

/** How long handlers and sends may take to finish by themselves, in real milliseconds. */
const SETTLE_MS = 5_000;

/** How long `close` waits for handlers that do not finish, in real milliseconds. */
const CLOSE_MS = 1_000;

/** How long `advance` waits after each timer once the work has turned out to be endless, in real milliseconds. */
const GLANCE_MS = 20;

/**
 * A broker on an embedded server of its own, with virtual time: delays, retries, expiries, deadlines and reconnects happen
 * when {@link TestBroker.advance} says so, and a delay with jitter has its full length. Everything else is the code that
 * talks to RabbitMQ.
 *
 * @example
 * ```ts
 * await using broker = await TestBroker.start();
 * broker.consumer(emails, async ({ body, attempt }) => {
 *   if (attempt === 1) throw new Error('the mail server is down');
 *   await deliver(body);
 * });
 * await broker.producer(emails).send({ to: 'ada@example.com', subject: 'Hello' });
 * await broker.advance('10m');
 * expect(broker.handled(emails)).toMatchObject([{ outcome: 'retried' }, { outcome: 'acked', attempt: 2 }]);
 * ```
 */
export class TestBroker extends Broker {
  readonly #clock: VirtualClock;
  readonly #server: MemoryServer;
  readonly #transport: MemoryTransport;
  readonly #records: Records;
  readonly #crash: SimulatedCrash;
  readonly #idle: IdleDetector;
  readonly #relays: ReadonlySet<TableRelay>;
  readonly #advances = new Serial();

  /** Use {@link TestBroker.start}, which also connects. */
  constructor(options: TestBrokerOptions = {}) {
    // The broker checks its own options.
    checkOptions('TestBroker', options && { as: options.as, startAt: options.startAt }, testBrokerChecks);
    const { as = '4.3', startAt = new Date(), ...brokerOptions } = options;
    const clock = new VirtualClock(startAt.getTime());
    const server = new MemoryServer(clock, as);
    const transport = new MemoryTransport(server);
    const records = new Records();
    const crash = new SimulatedCrash();
    const relays = new Set<TableRelay>();
    server.observer = records;
    super(
      'memory:',
      withTestHooks(brokerOptions, {
        clock,
        closeClock: systemClock,
        transport,
        onOutcome: (...outcome) => records.onOutcome(...outcome),
        onReplay: (messageId) => records.onReplay(messageId),
        onRelay: (relay) => relays.add(relay),
        wrapHandler: (handler) => crash.wrap(handler),
        wrapGuarded: (handler) => crash.wrapGuarded(handler),
      }),
    );
    this.#clock = clock;
    this.#server = server;
    this.#transport = transport;
    this.#records = records;
    this.#crash = crash;
    this.#relays = relays;
    this.#idle = new IdleDetector(server, this);
  }

  /**
   * Creates a broker and connects it.
   *
   * @throws ConfigurationError for an unknown option or a wrong value, and when the timers of node:test were enabled before
   * Leveret was loaded: without real timers nothing would go on
   */
  static async start(options: TestBrokerOptions = {}): Promise<TestBroker> {
    if (!areTimersReal()) {
      throw new ConfigurationError(
        'timers',
        "TestBroker.start: the mock timers of 'node:test' were enabled before 'leveret' was loaded. " +
          "Import 'leveret/testing' at the top of the test file, before 'mock.timers.enable()'",
      );
    }
    const broker = new TestBroker(options);
    await broker.connect();
    return broker;
  }

  /** The virtual time of day. */
  get now(): Date {
    return new Date(this.#clock.wallNow());
  }

  /**
   * Advances the time, and lets everything that becomes due happen in order: each retry, expiry, deadline and reconnect at
   * its own moment. A running handler gets a short moment of real time to finish, and otherwise keeps running.
   *
   * @throws ConfigurationError for anything but milliseconds or a text such as '10m'
   */
  async advance(duration: Duration): Promise<void> {
    const ms = toMs('TestBroker.advance', duration);
    await this.#advances.run(() => this.#advance(ms));
  }

  /**
   * Resolves when nothing is left to do at the current time: every message that a running consumer can take is handled, every
   * send is confirmed, and every committed outbox row that its relays can send is sent. It does not wait for later times,
   * such as the next retry.
   *
   * @throws TimeoutError that names what is still running, after 5 real seconds
   */
  async settled(): Promise<void> {
    const running = await this.#idle.settled(SETTLE_MS, this.#relays);
    if (running === undefined) return;
    throw new TimeoutError(`TestBroker.settled: after ${SETTLE_MS / 1_000} s: ${running}`);
  }

  /**
   * The messages that were sent to a queue or an exchange, or the requests to a procedure, in order, by any program. Each
   * once, however often it was tried.
   */
  sent<S extends Schema>(contract: ProcedureContract<S>): SentMessage<InputOf<S>>[];
  sent<C extends Contract>(contract: C): SentMessage<InputOf<C['schema']>>[];
  sent(contract: Contract | ProcedureContract): SentMessage[] {
    return this.#records.sent(isProcedure(contract) ? contract.queue : contract);
  }

  /**
   * The finished runs of a queue's handlers, or of a procedure's responders, in order, with the errors that they threw. A
   * request that was answered with an error has the outcome `failed`.
   */
  handled<S extends Schema>(
    contract: QueueContract<S> | ProcedureContract<S>,
  ): HandledMessage<OutputOf<S>>[] {
    return this.#records.handled(contract) as HandledMessage<OutputOf<S>>[];
  }

  /** The messages of a queue that went to its dead-letter queue, in order, including those that were replayed since. */
  deadLettered<S extends Schema>(contract: QueueContract<S>): DeadLetteredMessage<InputOf<S>>[] {
    return this.#records.deadLettered(contract) as DeadLetteredMessage<InputOf<S>>[];
  }

  /**
   * Drops the connections, as a network failure does. They come back after the usual delay: advance the time.
   *
   * @param options - `for`: how long the server stays unreachable
   */
  async disconnect(options: { readonly for?: Duration | undefined } = {}): Promise<void> {
    if (options.for !== undefined) {
      const ms = toMs('TestBroker.disconnect', options.for);
      this.#transport.setReachable(false);
      this.#clock.setTimeout(() => this.#transport.setReachable(true), ms);
    }
    await this.#drop(() => true, 'the connection was lost');
  }

  /**
   * Raises a resource alarm, such as that of a full disk: sends wait, acknowledgements continue. Like RabbitMQ, it stops a
   * connection that has published at once, and any other one when it publishes.
   */
  async block(reason = 'low on disk'): Promise<void> {
    this.#server.setAlarm(reason);
    await this.#idle.calm();
  }

  /** Ends the resource alarm. */
  async unblock(): Promise<void> {
    this.#server.setAlarm(undefined);
    await this.#idle.calm();
  }

  /**
   * Makes the server cancel its consumers, as when a queue moves to another node. They come back after the usual delay:
   * advance the time.
   *
   * @param contract - only the consumers of this queue
   */
  async cancelConsumers(contract?: QueueContract): Promise<void> {
    for (const queue of [...this.#server.queues])
      if (contract === undefined || queue.name === contract.name) queue.cancelConsumers();
    await this.#idle.calm();
  }

  /**
   * Kills the consuming side in the middle of its work, as a crash of its process does: a running handler has no further
   * effect, and its message is redelivered. The consuming side comes back after the usual delay: advance the time.
   */
  async crashConsumer(): Promise<void> {
    await this.#idle.turn();
    this.#crash.end();
    await this.#drop(({ role }) => role === 'consume', 'the consumer has crashed');
  }

  /** Like {@link Broker.close}, except that it waits for one real second by default. */
  override close(options: CloseOptions = {}): Promise<{ readonly clean: boolean }> {
    return super.close({ timeoutMs: CLOSE_MS, ...options });
  }

  async #advance(ms: number): Promise<void> {
    const until = this.#clock.now() + ms;
    let isCalm = await this.#idle.calm();
    // Once messages turn out to trigger others without end, it waits briefly, and not after each timer.
    const calmDown = async () => {
      isCalm = await this.#idle.calm(isCalm ? undefined : GLANCE_MS);
    };
    while (this.#clock.fireNext(until)) await calmDown();
    this.#clock.moveTo(until);
    await calmDown();
  }

  async #drop(matches: (link: ServerLink) => boolean, reason: string): Promise<void> {
    for (const link of [...this.#server.links]) if (matches(link)) link.drop(new Error(reason));
    await this.#idle.calm();
  }
}
