import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { AckMemory } from '../../../../src/consumer/delivery/duplicate-filter.js';
import { Intake } from '../../../../src/consumer/delivery/inbound-validator.js';
import { Inbox } from '../../../../src/consumer/delivery/prefetch-buffer.js';
import { queue } from '../../../../src/contracts/queue.js';
import { ValidationError } from '../../../../src/errors.js';
import { type BrokerEvents, Events, silentLogger } from '../../../../src/events.js';
import type { Delivery } from '../../../../src/transport/port.js';
import { FakeJudge, FakeSession, received } from '../../support/deliveries.js';
import { FakeClock } from '../../support/fake-clock.js';

const schema = z.object({ to: z.string().toUpperCase() });
const body = Buffer.from('{"to":"ada"}');

let memory: AckMemory;
let judge: FakeJudge;
let invalid: BrokerEvents['invalid-message'][];

beforeEach(() => {
  memory = new AckMemory(10, new FakeClock());
  judge = new FakeJudge();
  invalid = [];
});

function intakeOf(of: z.ZodType = schema): Intake {
  const events = new Events(silentLogger);
  events.on('invalid-message', (event) => invalid.push(event));
  return new Intake({ contract: queue('emails', of as z.ZodType<string>), memory, maxBodyBytes: 20, events });
}

const message = (different: Partial<Delivery> = {}) =>
  received({ content: body, properties: { messageId: 'm1' }, ...different }, { judge });

describe('a message that comes in', () => {
  it('gets its body from the schema', () => {
    const one = message();

    expect(intakeOf().admit(one)).toBe(true);
    expect([one.body, judge.short]).toEqual([{ to: 'ADA' }, []]);
  });

  it.each<[string, Partial<Delivery>, string]>([
    ['is not JSON', { content: Buffer.from('{') }, 'is not JSON'],
    ['does not fit', { content: Buffer.from('{"to":5}') }, 'expected string'],
    [
      'is of another type',
      { properties: { messageId: 'm1', contentType: 'text/plain' } },
      'wrong content type',
    ],
    ['is compressed', { properties: { messageId: 'm1', contentEncoding: 'gzip' } }, "encoding 'gzip'"],
    ['is too large', { content: Buffer.from('{"to":"a long name"}.') }, 'has 21 bytes, 20 are allowed'],
  ])('is dead-lettered with its issues when its body %s, and never handled', (_, different, words) => {
    const intake = intakeOf();
    const admitted = intake.admit(message(different));

    expect([admitted, judge.short, intake.counts]).toEqual([
      false,
      ['dead-letter 1'],
      { invalid: 1, recognised: 0 },
    ]);
    expect(judge.verdicts[0]).toMatchObject({
      error: expect.any(ValidationError),
    });
    expect(invalid).toMatchObject([
      { queue: 'emails', messageId: 'm1', issues: [{ message: expect.stringContaining(words) }] },
    ]);
  });

  it('may be exactly as large as allowed', () => {
    const content = Buffer.from('{"to":"a long name"}');

    expect([content.length, intakeOf().admit(message({ content }))]).toEqual([20, true]);
  });

  it('waits for an asynchronous schema', async () => {
    const intake = intakeOf(schema.refine(async ({ to }) => Promise.resolve(to === 'ADA')));
    const answers = [
      intake.admit(message()),
      intake.admit(message({ content: Buffer.from('{"to":"eve"}') })),
    ];

    expect(answers[0]).toBeInstanceOf(Promise);
    expect(await Promise.all(answers)).toEqual([true, false]);
    expect(judge.short).toEqual(['dead-letter 1']);
  });
});

describe('a message that comes again after its acknowledgement was lost', () => {
  const lost = () => {
    memory.acked('m1', body);
    memory.channelLost([]);
    memory.channelOpened();
  };

  it('is acknowledged again, and not handled again', () => {
    const intake = intakeOf();
    lost();
    const answers = [
      intake.admit(message({ redelivered: true })),
      intake.admit(message({ redelivered: true })),
    ];

    expect(answers).toEqual([false, true]);
    expect([judge.short, intake.counts.recognised]).toEqual([['ack 1'], 1]);
  });

  it('is another one when the server has not marked it: then neither is recognised', () => {
    const intake = intakeOf();
    lost();
    const answers = [intake.admit(message()), intake.admit(message({ redelivered: true }))];

    expect([answers, judge.short]).toEqual([[true, true], []]);
  });
});

describe('the inbox', () => {
  const fill = (inbox: Inbox, from: FakeSession, ...tags: number[]) => {
    for (const deliveryTag of tags) inbox.push(received({ deliveryTag }, { session: from }));
  };
  const tags = (inbox: Inbox) => {
    const all: number[] = [];
    for (let it = inbox.take(); it; it = inbox.take()) all.push(it.delivery.deliveryTag);
    return all;
  };

  it('gives out messages in the order in which they came', () => {
    const inbox = new Inbox();
    fill(inbox, new FakeSession(), 1, 2);
    const first = inbox.take()?.delivery.deliveryTag;
    fill(inbox, new FakeSession(), 3);

    expect([first, inbox.length, tags(inbox), inbox.length, inbox.take()]).toEqual([
      1,
      2,
      [2, 3],
      0,
      undefined,
    ]);
  });

  it('keeps its order and its count over many thousands', () => {
    const inbox = new Inbox();
    const session = new FakeSession();
    const seen: number[] = [];
    for (let tag = 1; tag <= 10_000; tag++) {
      fill(inbox, session, tag);
      if (tag % 3 > 0) seen.push(inbox.take()?.delivery.deliveryTag ?? 0);
    }
    const rest = inbox.length;
    seen.push(...tags(inbox));

    expect(rest).toBe(3_333);
    expect(seen).toEqual(Array.from({ length: 10_000 }, (_, index) => index + 1));
  });

  it('forgets the messages of a session that is lost, and keeps the others', () => {
    const inbox = new Inbox();
    const [lost, live] = [new FakeSession(), new FakeSession()];
    fill(inbox, lost, 1, 2);
    fill(inbox, live, 1);
    fill(inbox, lost, 3);
    inbox.take();
    inbox.dropSession(lost.asSession);

    expect([inbox.length, inbox.take()?.session === live.asSession, lost.log]).toEqual([1, true, []]);
  });

  it('gives everything back unseen', () => {
    const inbox = new Inbox();
    const session = new FakeSession();
    fill(inbox, session, 1, 2, 3);
    inbox.take();
    inbox.giveBack();

    expect([session.log, inbox.length]).toEqual([['unseen 2', 'unseen 3'], 0]);
  });
});
