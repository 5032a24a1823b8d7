import { DialError, type DialOptions, type Link, type Transport } from '../../../src/transport/port.js';
import { type Deferred, deferred } from '../../../src/util/promises.js';
import { FakeLink } from './fake-link.js';

/** The address does not respond. */
export const REFUSED = new DialError('CONNECTION_FAILED', 'ECONNREFUSED', { reachedServer: false });

interface Dial {
  readonly address: string;
  readonly options: DialOptions;
  readonly outcome: Deferred<Link>;
}

/** A transport whose every dial the test answers, by hand or by a rule. */
export class FakeTransport implements Transport {
  readonly addresses: readonly string[];
  readonly dials: Dial[] = [];
  readonly links: FakeLink[] = [];
  /** What becomes of a dial at once: a link, a failure, or nothing so far. */
  rule: (address: string, count: number) => FakeLink | Error | undefined = () => undefined;

  constructor(...addresses: string[]) {
    this.addresses = addresses.length > 0 ? addresses : ['amqp://a:5672'];
  }

  /** The dial that was made last. */
  get last(): Dial {
    const dial = this.dials.at(-1);
    if (!dial) throw new Error('nothing was dialled');
    return dial;
  }

  dial(address: string, options: DialOptions): Promise<Link> {
    const dial = { address, options, outcome: deferred<Link>() };
    this.dials.push(dial);
    options.signal.addEventListener('abort', () => dial.outcome.reject(new Error('aborted')));
    const outcome = this.rule(address, this.dials.length);
    if (outcome instanceof FakeLink) this.succeed(outcome);
    else if (outcome) dial.outcome.reject(outcome);
    return dial.outcome.promise;
  }

  /** The dial that was made last succeeds. */
  succeed(link = new FakeLink()): FakeLink {
    this.links.push(link);
    this.last.outcome.resolve(link);
    return link;
  }
}
