import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { exchange } from '../../../src/contracts/exchange.js';
import { queue } from '../../../src/contracts/queue.js';
import { declarerOf } from '../../../src/declarations/declarer.js';
import { TopologyError } from '../../../src/errors.js';
import { TransportError } from '../../../src/transport/port.js';
import { toTopologyError } from '../../../src/transport/public-errors.js';
import { turn } from '../support/fake-clock.js';
import { FakeLink } from '../support/fake-link.js';
import { rejectionOf, track } from '../support/track.js';

const emails = queue('emails', z.any(), { deadLetter: false });
const orders = queue('orders', z.any());

function closed(replyCode: number, text: string): TransportError {
  const message = `Operation failed: QueueDeclare; ${replyCode} (PRECONDITION-FAILED) with message "${text}"`;
  return new TransportError(message, { replyCode });
}

const DIFFERS = closed(
  406,
  "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'emails' in vhost '/': received the value '5' of type 'signedint' but current is none",
);

let link: FakeLink;

beforeEach(() => {
  link = new FakeLink();
});

const refuse = (what: string, error: Error) => {
  link.onRequest = (request) => {
    if (request === what) throw error;
  };
};
const declarations = () => link.requests.filter((it) => !it.endsWith('channel'));

describe('a declarer', () => {
  it('is one for each link', () => {
    expect(declarerOf(link)).toBe(declarerOf(link));
    expect(declarerOf(new FakeLink())).not.toBe(declarerOf(link));
  });

  it('declares on a channel of its own, which it closes again', async () => {
    await declarerOf(link).declare(orders);
    await turn();

    expect(declarations()).toEqual(['declare queue orders.dead', 'declare queue orders']);
    expect(
      link.channels.map(({ isOpen, options: { confirms } }) => ({ isOpen, confirms })),
    ).not.toContainEqual({
      isOpen: true,
      confirms: false,
    });
  });

  it('declares on the same channel what is declared after an answer', async () => {
    await declarerOf(link).declare(orders);
    await declarerOf(link).declare(emails);
    await turn();

    expect(link.channels).toHaveLength(1);
    expect(link.channels[0]?.isOpen).toBe(false);
  });

  it('declares once what many ask for', async () => {
    await Promise.all(Array.from({ length: 10 }, () => declarerOf(link).declare(orders)));
    await declarerOf(link).declare(orders);

    expect(declarations()).toEqual(['declare queue orders.dead', 'declare queue orders']);
  });

  it('declares again what is known to be missing, and what was forgotten', async () => {
    await declarerOf(link).declare(emails);
    await declarerOf(link).declare(emails, { again: true });
    declarerOf(link).forget();
    await declarerOf(link).declare(emails);

    expect(declarations()).toHaveLength(3);
  });

  it('asks again after a failure', async () => {
    refuse('declare queue emails', new TransportError('no answer'));
    const first = await rejectionOf(declarerOf(link).declare(emails));
    link.onRequest = () => undefined;
    await declarerOf(link).declare(emails);

    expect(first).toBeInstanceOf(TransportError);
    expect(declarations()).toHaveLength(2);
  });

  it('goes on with the next one on another channel after a refusal', async () => {
    refuse('declare queue emails', DIFFERS);
    const outcomes = [track(declarerOf(link).declare(emails)), track(declarerOf(link).declare(orders))];
    await turn();
    await turn();

    expect(outcomes.map(({ state }) => state)).toEqual(['rejected', 'resolved']);
  });

  it('does not go on with what needs the step that failed', async () => {
    link.onRequest = (request) => {
      if (request.endsWith('queue orders.dead')) throw closed(403, 'ACCESS_REFUSED');
    };
    await rejectionOf(declarerOf(link).declare(orders));

    // It may be there all the same, without the right to declare it.
    expect(declarations()).toEqual(['declare queue orders.dead', 'check queue orders.dead']);
  });

  it('runs operations side by side', async () => {
    const log: string[] = [];
    let letGo = () => {};
    const first = declarerOf(link).run(async () => {
      log.push('first begins');
      await new Promise<void>((resolve) => (letGo = resolve));
      log.push('first ends');
    });
    const second = await declarerOf(link).run(async () => {
      log.push('second');
      return 7;
    });
    letGo();
    await first;

    expect(second).toBe(7);
    expect(log).toEqual(['first begins', 'second', 'first ends']);
  });

  it('takes a dead-letter queue as it is when it exists with other arguments', async () => {
    refuse(
      'declare queue orders.dead',
      closed(406, "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for"),
    );
    await declarerOf(link).declare(orders);

    expect(declarations()).toEqual(['declare queue orders.dead', 'declare queue orders']);
  });

  it.each([
    [
      'a feature',
      '541 (INTERNAL-ERROR) with message "INTERNAL_ERROR - Feature `queue_master_locator` is deprecated."',
      541,
      'located',
    ],
    [
      'a queue that is not durable',
      '541 (INTERNAL-ERROR) with message "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated."',
      541,
      'transient',
    ],
  ])(
    'blames one of several declarations when the server closes the connection over %s',
    async (_, words, replyCode, guilty) => {
      const contracts = {
        located: queue('located', z.any(), {
          deadLetter: false,
          type: 'classic',
          arguments: { 'x-queue-master-locator': 'min-masters' },
        }),
        transient: queue('transient', z.any(), {
          deadLetter: false,
          retry: false,
          type: 'classic',
          durable: false,
        }),
        emails,
        events: exchange('events', z.any(), { type: 'topic' }),
      };
      link.onRequest = (request) => (request.startsWith('declare') ? new Promise(() => {}) : undefined);
      const outcomes = Object.fromEntries(
        Object.entries(contracts).map(([name, contract]) => [
          name,
          track(declarerOf(link).declare(contract)),
        ]),
      );
      await turn();
      link.die(new TransportError(`Connection closed: ${words}`, { replyCode }));
      await turn();

      const refused = Object.entries(outcomes).filter(([, { error }]) => error instanceof TopologyError);
      expect(refused.map(([name]) => name)).toEqual([guilty]);
    },
  );

  it('rejects when its link is lost', async () => {
    link.onRequest = (request) => (request.startsWith('declare') ? new Promise(() => {}) : undefined);
    const declaring = track(declarerOf(link).declare(emails));
    await turn();
    link.die(new Error('reset'));
    await turn();

    expect(declaring.error).toBeInstanceOf(TransportError);
  });
});

describe('a refusal of the server', () => {
  it('names the argument that differs, and both values', async () => {
    refuse('declare queue emails', DIFFERS);
    const error = await rejectionOf(declarerOf(link).declare(emails));

    expect(error).toBeInstanceOf(TopologyError);
    expect(error).toMatchObject({
      code: 'MISMATCH',
      target: 'emails',
      argument: 'x-max-length',
      declared: "the value '5' of type 'signedint'",
      existing: 'none',
      retryable: false,
      cause: DIFFERS,
    });
    expect((error as Error).message).toBe(
      "The queue 'emails' exists with another 'x-max-length' (option 'maxLength'): this program declares the value '5' of type 'signedint', the server has none. Write in the contract: no maxLength; or use it as it is, with declare: 'passive'. Deleting it on the server, so that it is declared anew, loses its messages",
    );
  });

  it.each([
    [403, 'ACCESS_REFUSED'],
    [404, 'NOT_FOUND'],
    [406, 'MISMATCH'],
    [503, 'MISMATCH'],
    [540, 'MISMATCH'],
  ])('with the code %i is a %s, in its own words', (replyCode, code) => {
    const error = toTopologyError(closed(replyCode, 'the words'), 'emails', "the queue 'emails'");

    expect(error).toBeInstanceOf(TopologyError);
    const message = "the queue 'emails': the words";
    expect(error).toMatchObject({ code, target: 'emails', message, argument: undefined });
  });

  it.each([
    ['another code', closed(541, 'INTERNAL_ERROR')],
    [
      'a queue on a node that is down',
      closed(
        404,
        "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible",
      ),
    ],
    [
      'a queue between a crash and its next start',
      closed(404, "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor"),
    ],
    ['no code', new TransportError('the connection was lost')],
    ['an error of another kind', new Error('a bug')],
  ])('that may pass stays as it is: %s', (_, error) => {
    expect(toTopologyError(error, 'x')).toBe(error);
  });

  it.each([
    [
      'the exchange',
      { bindings: [{ exchange: 'orders' }] },
      'bind emails to orders',
      "The binding of the queue 'emails' to 'orders'",
    ],
    ['the queue that is only checked', { declare: 'passive' }, 'check queue emails', "The queue 'emails'"],
  ] as const)('says what it was about: %s', async (_, options, request, words) => {
    refuse(request, closed(404, 'NOT_FOUND'));
    const contract = queue('emails', z.any(), { deadLetter: false, ...options });

    expect(await rejectionOf(declarerOf(link).declare(contract))).toMatchObject({
      target: 'emails',
      code: 'NOT_FOUND',
      message: `${words}: NOT_FOUND`,
    });
  });
});
