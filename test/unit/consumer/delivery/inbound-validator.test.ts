import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { DuplicateFilter } from '../../../../src/consumer/delivery/duplicate-filter.js';
import { InboundValidator } from '../../../../src/consumer/delivery/inbound-validator.js';
import { PrefetchBuffer } from '../../../../src/consumer/delivery/prefetch-buffer.js';
import { queue } from '../../../../src/contracts/queue.js';
import { ValidationError } from '../../../../src/errors.js';
import { Events } from '../../../../src/event-emitter.js';
import { type BrokerEvents, silentLogger } from '../../../../src/events.js';
import type { Delivery } from '../../../../src/transport/port.js';
import { FakeSession, FakeSettler, received } from '../../support/deliveries.js';
import { FakeClock } from '../../support/fake-clock.js';

const schema = z.object({ to: z.string().toUpperCase() });
const body = Buffer.from('{"to":"ada"}');

let duplicates: DuplicateFilter;
let settler: FakeSettler;
let invalid: BrokerEvents['invalid-message'][];

beforeEach(() => {
  duplicates = new DuplicateFilter({ capacity: 10, windowMs: 30_000, clock: new FakeClock() });
  settler = new FakeSettler();
  invalid = [];
});

function intakeOf(of: z.ZodType = schema): InboundValidator {
  const events = new Events(silentLogger);
  events.on('invalid-message', (event) => invalid.push(event));
  return new InboundValidator({
    contract: queue('emails', of as z.ZodType<string>),
    duplicates,
    maxBodyBytes: 20,
    events,
  });
}

const message = (overrides: Partial<Delivery> = {}) =>
  received({ content: body, properties: { messageId: 'm1' }, ...overrides }, { settler });

describe('a message that comes in', () => {
  it('gets its body from the schema', () => {
    const one = message();

    expect(intakeOf().admit(one)).toBe(true);
    expect({ body: one.body, short: settler.short }).toEqual({ body: { to: 'ADA' }, short: [] });
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
    ['is too large', { content: Buffer.from('{"to":"a long name"}.') }, 'is 21 bytes; the limit is 20'],
  ])('is dead-lettered with its issues when its body %s, and never handled', (_, overrides, words) => {
    const validator = intakeOf();
    const admitted = validator.admit(message(overrides));

    expect({ admitted, short: settler.short, counts: validator.counts }).toEqual({
      admitted: false,
      short: ['dead-letter 1'],
      counts: { invalid: 1, recognised: 0 },
    });
    expect(settler.verdicts[0]).toMatchObject({
      error: expect.any(ValidationError),
    });
    expect(invalid).toMatchObject([
      { queue: 'emails', messageId: 'm1', issues: [{ message: expect.stringContaining(words) }] },
    ]);
  });

  it('may be exactly as large as allowed', () => {
    const content = Buffer.from('{"to":"a long name"}');

    expect({ size: content.length, isAdmitted: intakeOf().admit(message({ content })) }).toEqual({
      size: 20,
      isAdmitted: true,
    });
  });

  it('waits for an asynchronous schema', async () => {
    const validator = intakeOf(schema.refine(async ({ to }) => Promise.resolve(to === 'ADA')));
    const answers = [
      validator.admit(message()),
      validator.admit(message({ content: Buffer.from('{"to":"eve"}') })),
    ];

    expect(answers[0]).toBeInstanceOf(Promise);
    expect(await Promise.all(answers)).toEqual([true, false]);
    expect(settler.short).toEqual(['dead-letter 1']);
  });
});

describe('a message that comes again after its acknowledgement was lost', () => {
  const lost = () => {
    duplicates.acked(message().delivery);
    duplicates.channelLost([]);
    duplicates.channelOpened();
  };

  it('is acknowledged again, and not handled again', () => {
    const validator = intakeOf();
    lost();
    const answers = {
      first: validator.admit(message({ redelivered: true })),
      second: validator.admit(message({ redelivered: true })),
    };

    expect(answers).toEqual({ first: false, second: true });
    expect({ short: settler.short, recognised: validator.counts.recognised }).toEqual({
      short: ['ack 1'],
      recognised: 1,
    });
  });

  it('is another one when the server has not marked it: then neither is recognised', () => {
    const validator = intakeOf();
    lost();
    const answers = {
      first: validator.admit(message()),
      second: validator.admit(message({ redelivered: true })),
    };

    expect({ answers, short: settler.short }).toEqual({ answers: { first: true, second: true }, short: [] });
  });
});

describe('the buffer', () => {
  const fill = (buffer: PrefetchBuffer, from: FakeSession, ...tags: number[]) => {
    for (const deliveryTag of tags) buffer.push(received({ deliveryTag }, { session: from }));
  };
  const tags = (buffer: PrefetchBuffer) => {
    const all: number[] = [];
    for (let it = buffer.take(); it; it = buffer.take()) all.push(it.delivery.deliveryTag);
    return all;
  };

  it('gives out messages in the order in which they came', () => {
    const buffer = new PrefetchBuffer();
    fill(buffer, new FakeSession(), 1, 2);
    const first = buffer.take()?.delivery.deliveryTag;
    fill(buffer, new FakeSession(), 3);

    expect({
      first,
      length: buffer.length,
      rest: tags(buffer),
      lengthAfterwards: buffer.length,
      next: buffer.take(),
    }).toEqual({ first: 1, length: 2, rest: [2, 3], lengthAfterwards: 0, next: undefined });
  });

  it('keeps its order and its count over many thousands', () => {
    const buffer = new PrefetchBuffer();
    const session = new FakeSession();
    const seen: number[] = [];
    for (let tag = 1; tag <= 10_000; tag++) {
      fill(buffer, session, tag);
      if (tag % 3 > 0) seen.push(buffer.take()?.delivery.deliveryTag ?? 0);
    }
    const rest = buffer.length;
    seen.push(...tags(buffer));

    expect(rest).toBe(3_333);
    expect(seen).toEqual(Array.from({ length: 10_000 }, (_, index) => index + 1));
  });

  it('forgets the messages of a session that is lost, and keeps the others', () => {
    const buffer = new PrefetchBuffer();
    const [lost, live] = [new FakeSession(), new FakeSession()];
    fill(buffer, lost, 1, 2);
    fill(buffer, live, 1);
    fill(buffer, lost, 3);
    buffer.take();
    buffer.dropSession(lost.asSession);

    expect({
      length: buffer.length,
      isLive: buffer.take()?.session === live.asSession,
      log: lost.log,
    }).toEqual({ length: 1, isLive: true, log: [] });
  });

  it('gives everything back unseen', () => {
    const buffer = new PrefetchBuffer();
    const session = new FakeSession();
    fill(buffer, session, 1, 2, 3);
    buffer.take();
    buffer.giveBack();

    expect({ log: session.log, length: buffer.length }).toEqual({ log: ['unseen 2', 'unseen 3'], length: 0 });
  });
});
