import { expect } from 'vitest';
import { suite } from './suite.js';

/** A pattern, the keys that it matches, and some that it does not. */
const patterns: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['a.b', ['a.b'], ['a', 'a.b.c', '']],
  ['*', ['a', '*', '#'], ['', 'a.b']],
  ['a.*', ['a.b', 'a.', 'a.*'], ['a', 'a.b.c', 'b.a']],
  ['*.*', ['a.b', '.'], ['a', 'a.b.c']],
  ['#', ['', 'a', 'a.b.c', '.'], []],
  ['a.#', ['a', 'a.b', 'a.b.c'], ['', 'b.a']],
  ['#.a', ['a', 'b.a', 'c.b.a'], ['a.b', '']],
  ['a.#.b', ['a.b', 'a.x.b', 'a.x.y.b', 'a.b.b'], ['a', 'b', 'a.b.c']],
  ['#.x.#', ['x', 'a.x', 'x.a', 'a.x.b.x.c'], ['a', '', 'a.xx']],
  ['*.#', ['a', 'a.b'], ['']],
  ['#.#', ['', 'a', 'a.b'], []],
  ['#.*.#', ['a', 'a.b'], ['']],
  ['', [''], ['a']],
  ['a..b', ['a..b'], ['a.b', 'a.x.b']],
];

/** The arguments of a binding, the headers of a message, and whether they fit. */
const headers: readonly (readonly [Record<string, unknown>, Record<string, unknown>, boolean])[] = [
  [{ a: 1, b: 'x' }, { a: 1, b: 'x', c: 2 }, true],
  [{ a: 1, b: 'x' }, { a: 1 }, false],
  [{ 'x-match': 'any', a: 1, b: 'x' }, { b: 'x' }, true],
  [{ 'x-match': 'any', a: 1 }, { b: 'x' }, false],
  [{ 'x-match': 'any' }, { a: 1 }, false],
  [{}, {}, true],
  [{ a: 1 }, { a: '1' }, false],
  [{ a: null }, { a: 5 }, true],
  [{ a: null }, {}, false],
  [{ 'x-foo': 1, a: 1 }, { a: 1 }, true],
  [{ 'x-match': 'all-with-x', 'x-foo': 1 }, { a: 1 }, false],
  [{ 'x-match': 'any-with-x', 'x-foo': 1 }, { 'x-foo': 1 }, true],
  [{ a: true }, { a: true }, true],
  [{ a: { b: 1 } }, { a: { b: 1 } }, true],
  [{ a: [1, 2] }, { a: [1, 3] }, false],
  // The type of the value itself is not compared, and those of what it contains are.
  [{ a: 0 }, { a: -0 }, true],
  [{ a: -0 }, { a: 0 }, true],
  [{ a: [-0] }, { a: [0] }, true],
  [{ a: {} }, { a: [] }, true],
  [{ a: [] }, { a: {} }, true],
  [{ a: [] }, { a: [[]] }, false],
  [{ a: { b: {} } }, { a: { b: [] } }, false],
  [{ a: [{}] }, { a: [[]] }, false],
  [{ a: [] }, { a: '' }, false],
  [{ a: {} }, { a: null }, false],
  [{ a: [1] }, { a: ['1'] }, false],
  [{ a: { b: 1, c: 2 } }, { a: { c: 2, b: 1 } }, false],
  [{ a: 'é' }, { a: Buffer.from('é') }, true],
  [{ a: ['é'] }, { a: [Buffer.from('é')] }, false],
];

suite('publishing', {
  'to a topic exchange reaches exactly the queues whose pattern fits': async (peer) => {
    const probe = await peer.channel();
    await probe.exchange('x', 'topic');
    const missed: string[] = [];
    for (const [at, [pattern]] of patterns.entries()) {
      await probe.queue(`q${at}`);
      await probe.bind(`q${at}`, 'x', pattern);
    }
    const keys = new Set(patterns.flatMap(([, yes, no]) => [...yes, ...no]));
    for (const key of keys) {
      await probe.publish(key, key, { exchange: 'x' });
      for (const [at, [pattern, yes, no]] of patterns.entries()) {
        const count = await probe.channel.purgeQueue(`q${at}`);
        if (yes.includes(key) && count !== 1) missed.push(`${pattern} takes '${key}' ${count} times`);
        if (no.includes(key) && count !== 0) missed.push(`${pattern} takes '${key}'`);
      }
    }
    expect(missed).toEqual([]);
  },

  'to a headers exchange reaches the queues whose arguments fit': async (peer) => {
    const probe = await peer.channel();
    const found: boolean[] = [];
    for (const [at, [args, sent]] of headers.entries()) {
      await probe.exchange(`x${at}`, 'headers');
      await probe.queue(`q${at}`);
      await probe.bind(`q${at}`, `x${at}`, '', args);
      await probe.publish('', 'm', { exchange: `x${at}`, properties: { headers: sent } });
      found.push((await probe.ready(`q${at}`)) === 1);
    }
    expect(found).toEqual(headers.map(([, , fits]) => fits));
  },

  'to a direct and to a fanout exchange': async (peer) => {
    const probe = await peer.channel();
    await probe.exchange('direct', 'direct');
    await probe.exchange('fanout', 'fanout');
    for (const name of ['a', 'b']) {
      await probe.queue(name);
      await probe.bind(name, 'direct', name);
      await probe.bind(name, 'direct', 'both');
      await probe.bind(name, 'fanout', name);
    }
    const depths = async () => [await probe.ready('a'), await probe.ready('b')];
    await probe.publish('a', 'm', { exchange: 'direct' });
    expect(await depths()).toEqual([1, 0]);
    await probe.publish('both', 'm', { exchange: 'direct' });
    expect(await depths()).toEqual([2, 1]);
    await probe.publish('whatever', 'm', { exchange: 'fanout' });
    expect(await depths()).toEqual([3, 2]);
  },

  'goes through exchanges bound to each other, once to each queue, and never in circles': async (peer) => {
    const probe = await peer.channel();
    await probe.exchange('a', 'topic');
    await probe.exchange('b', 'fanout');
    const link = (destination: string, source: string, routingKey: string) =>
      probe.channel.bind({
        destination: { kind: 'exchange', name: destination },
        source,
        routingKey,
        arguments: {},
      });
    await link('b', 'a', 'eu.#');
    await link('a', 'b', '');
    await probe.queue('q');
    await probe.bind('q', 'b', '');
    await probe.bind('q', 'a', '#');
    await probe.publish('eu.de', 'm', { exchange: 'a' });
    expect(await probe.ready('q')).toBe(1);
  },

  'without a home goes to the alternate exchange': async (peer) => {
    const probe = await peer.channel();
    await probe.exchange('other', 'fanout');
    await probe.exchange('x', 'direct', { 'alternate-exchange': 'other' });
    expect(await probe.publish('k', 'm', { exchange: 'x', mandatory: true })).toBe('ack');
    expect(probe.returns).toHaveLength(1);
    await probe.queue('q');
    await probe.bind('q', 'other', '');
    await probe.publish('k', 'm', { exchange: 'x', mandatory: true });
    expect(probe.returns).toHaveLength(1);
    expect(await probe.take('q')).toMatchObject({ exchange: 'x', routingKey: 'k', text: 'm' });
  },

  'what must be taken and is not comes back before its confirm': async (peer) => {
    const probe = await peer.channel();
    const properties = { messageId: 'lost', headers: {} };
    expect(await probe.publish('nowhere', 'm', { mandatory: true, properties })).toBe('ack');
    expect(probe.returns).toEqual([
      { messageId: 'lost', exchange: '', routingKey: 'nowhere', replyCode: 312, replyText: 'NO_ROUTE' },
    ]);
    expect(await probe.publish('nowhere', 'm')).toBe('ack');
    expect(probe.returns).toHaveLength(1);
  },

  'to a missing exchange closes the channel': async (peer) => {
    const probe = await peer.channel();
    expect(await probe.publish('k', 'm', { exchange: 'nix' })).toBe('lost');
    expect(await probe.closing()).toBe("404 NOT_FOUND - no exchange 'nix' in vhost '/'");
    expect(probe.channel.isOpen).toBe(false);
  },

  'to an internal exchange closes the channel': async (peer) => {
    const probe = await peer.channel();
    const internal = {
      name: 'x',
      type: 'fanout',
      durable: true,
      autoDelete: false,
      internal: true,
      arguments: {},
    };
    await probe.channel.declareExchange(internal);
    await probe.publish('k', 'm', { exchange: 'x' });
    expect(await probe.closing()).toBe(
      "403 ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'",
    );
  },

  'of a message that never expires properly closes the channel': async (peer) => {
    const [one, two] = [await peer.channel(), await peer.channel()];
    await one.publish('q', 'm', { properties: { expiration: 'abc' } });
    expect(await one.closing()).toBe("406 PRECONDITION_FAILED - invalid expiration 'abc': no_integer");
    await two.publish('q', 'm', { properties: { expiration: '-5' } });
    expect(await two.closing()).toBe(
      "406 PRECONDITION_FAILED - invalid expiration '-5': {value_negative,-5}",
    );
  },

  'more than the server takes closes the channel': async (peer, { family }) => {
    // 128 MiB are too much for a test of 3.x.
    if (family === '3.13') return expect(family).toBe('3.13');
    const probe = await peer.channel();
    await probe.publish('q', 'x'.repeat(16_777_217));
    expect(await probe.closing()).toBe(
      '406 PRECONDITION_FAILED - message size 16777217 is larger than configured max size 16777216',
    );
  },

  'keeps every property, and copies of what was sent': async (peer) => {
    const probe = await peer.channel();
    await probe.queue('q');
    const properties = {
      contentType: 'text/plain',
      contentEncoding: 'utf-8',
      deliveryMode: 2,
      priority: 3,
      correlationId: 'c',
      replyTo: 'r',
      messageId: 'm',
      timestamp: 1_700_000_000,
      type: 't',
      userId: 'guest',
      appId: 'a',
      headers: {
        text: 'x',
        number: 5,
        fraction: 1.5,
        yes: true,
        none: null,
        list: [1, 'a'],
        table: { deep: { er: 1 } },
      },
    };
    await probe.publish('q', 'body', { properties });
    const received = await probe.take('q');
    expect(received.properties).toMatchObject(properties);
    expect(received).toMatchObject({ exchange: '', routingKey: 'q', redelivered: false, text: 'body' });
  },

  'to further keys through the headers CC and BCC': async (peer) => {
    const probe = await peer.channel();
    for (const name of ['a', 'b', 'c']) await probe.queue(name);
    await probe.publish('a', 'm', { properties: { headers: { CC: ['b'], BCC: ['c'] } } });
    for (const name of ['a', 'b', 'c'])
      expect(await probe.take(name)).toMatchObject({
        routingKey: 'a',
        properties: { headers: { CC: ['b'] } },
      });
  },

  'a reply goes straight to the channel that asked': async (peer, { family }) => {
    const [asker, answerer] = [await peer.channel(), await peer.channel()];
    await answerer.queue('rpc');
    const replies = await asker.consume('amq.rabbitmq.reply-to', 0, { noAck: true });
    asker.channel.publish({
      exchange: '',
      routingKey: 'rpc',
      mandatory: true,
      properties: { replyTo: 'amq.rabbitmq.reply-to', correlationId: '1' },
      content: Buffer.from('question'),
    });
    const { properties } = await answerer.take('rpc');
    const replyTo = String(properties.replyTo);
    expect(replyTo).toMatch(/^amq\.rabbitmq\.reply-to\..+/);
    await answerer.publish(replyTo, 'answer', { mandatory: true, properties: { correlationId: '1' } });
    await expect.poll(() => replies.received.length).toBe(1);
    expect(replies.received[0]).toMatchObject({ text: 'answer', routingKey: replyTo, exchange: '' });
    // Before 4.3 a reply that must be taken comes back even though it was.
    expect(answerer.returns).toHaveLength(family === '4.3' ? 0 : 1);
  },

  'a reply to an unknown address comes back, before 4.3': async (peer, { family }) => {
    const [asker, answerer] = [await peer.channel(), await peer.channel()];
    await answerer.queue('rpc');
    await asker.consume('amq.rabbitmq.reply-to', 0, { noAck: true });
    await asker.publish('rpc', 'question', { properties: { replyTo: 'amq.rabbitmq.reply-to' } });
    await asker.channel.close();
    const { properties } = await answerer.take('rpc');
    await answerer.publish(String(properties.replyTo), 'late', { mandatory: true });
    expect(answerer.returns).toHaveLength(family === '4.3' ? 0 : 1);
  },

  'a request for replies needs a consumer of them': async (peer) => {
    const probe = await peer.channel();
    await probe.publish('q', 'm', { properties: { replyTo: 'amq.rabbitmq.reply-to' } });
    expect(await probe.closing()).toBe('406 PRECONDITION_FAILED - fast reply consumer does not exist');
  },
});
