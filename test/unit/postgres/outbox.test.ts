import { exchange, queue } from 'leveret';
import { postgresInbox, postgresOutbox, postgresStore } from 'leveret/postgres';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const emails = queue('emails', z.object({ to: z.string() }));
const orders = exchange('orders', z.object({ id: z.string() }), { type: 'topic' });
const outbox = postgresOutbox([emails, orders]);

/** A transaction that counts its statements. */
function recorder() {
  const statements: { readonly text: string; readonly values: readonly unknown[] }[] = [];
  const execute = async (text: string, values: unknown[]) => {
    statements.push({ text, values });
    return [];
  };
  return { statements, execute };
}

describe('an outbox', () => {
  it.each<[string, (tx: object) => Promise<unknown>, object]>([
    ['a body', (tx) => outbox.send(tx, emails, { to: 1 as never }), { code: 'INVALID_BODY' }],
    [
      'a body that is too large',
      (tx) => postgresOutbox([emails], { maxBodyBytes: 9 }).send(tx, emails, { to: 'x' }),
      { code: 'MESSAGE_TOO_LARGE' },
    ],
    [
      'an option',
      (tx) => outbox.send(tx, emails, { to: 'a' }, { priority: 256 }),
      { option: 'priority', code: 'INVALID_OPTION' },
    ],
    ...['timeoutMs', 'signal', 'kei'].map(
      (option) =>
        [
          `the option ${option}`,
          (tx: object) => outbox.send(tx, emails, { to: 'a' }, { [option]: 1 } as never),
          { option, code: 'INVALID_OPTION' },
        ] as [string, (tx: object) => Promise<unknown>, object],
    ),
    ['no routing key', (tx) => outbox.send(tx, orders, { id: '1' }, {} as never), { option: 'routingKey' }],
    ...['', 'x'.repeat(256), 'a\0', '\uD800', 1].map(
      (key) =>
        [
          `the key ${JSON.stringify(key).slice(0, 12)}`,
          (tx: object) => outbox.send(tx, emails, { to: 'a' }, { key: key as string }),
          { option: 'key' },
        ] as [string, (tx: object) => Promise<unknown>, object],
    ),
    [
      'another contract of the same name',
      (tx) => outbox.send(tx, queue('emails', z.object({ to: z.string() })) as typeof emails, { to: 'a' }),
      { option: 'contract' },
    ],
    [
      'an unknown contract',
      (tx) => outbox.send(tx, queue('others', z.object({ to: z.string() })) as typeof emails, { to: 'a' }),
      { option: 'contract' },
    ],
    [
      'more than 10 000 bodies',
      (tx) => outbox.sendAll(tx, emails, new Array(10_001).fill({ to: 'a' })),
      { option: 'bodies' },
    ],
    [
      'one body of many',
      (tx) => outbox.sendAll(tx, emails, [{ to: 'a' }, { to: 2 as never }]),
      { code: 'INVALID_BODY', issues: [expect.objectContaining({ path: [1, 'to'] })] },
    ],
  ])('refuses %s before it touches the transaction', async (_what, send, error) => {
    const tx = recorder();
    await expect(send(tx)).rejects.toMatchObject(error);
    expect(tx.statements).toEqual([]);
  });

  it('inserts with one statement, however many bodies there are', async () => {
    const tx = recorder();
    const { messageIds } = await outbox.sendAll(
      tx,
      emails,
      new Set(Array.from({ length: 10_000 }, (_, n) => ({ to: `${n}` }))),
    );
    expect(new Set(messageIds).size).toBe(10_000);
    expect(tx.statements).toHaveLength(1);
    await outbox.sendAll(tx, emails, []);
    await outbox.send(tx, emails, { to: 'a' }, { key: '💚'.repeat(255) });
    expect(tx.statements.map(({ text }) => /^\s*(\w+)/.exec(text)?.[1])).toEqual(['insert', 'insert']);
  });

  it('passes on an error of the database as the driver made it', async () => {
    const error = Object.assign(new Error('deadlock detected'), { code: '40P01' });
    const execute = () => Promise.reject(error);
    await expect(outbox.send({ execute }, emails, { to: 'a' })).rejects.toBe(error);
    await expect(outbox.sendAll({ execute }, emails, [{ to: 'a' }])).rejects.toBe(error);
  });

  it.each(['Emails', '1st', 'a-b', 'a"b', '', 'x'.repeat(49)])('refuses the name %j of a table', (name) => {
    const db = { transaction: async () => {} };
    for (const option of ['table', 'schema'])
      for (const make of [
        () => postgresOutbox([emails], { [option]: name }),
        () => postgresInbox(db, { [option]: name }),
        () => postgresStore(db, { [option]: name }),
      ])
        expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', option }));
  });

  it.each([
    ['a procedure', [{ kind: 'procedure', name: 'x' }]],
    ['no list', emails],
    ['two contracts of one name', [emails, queue('emails', z.string())]],
  ])('is not made of %s', (_what, contracts) => {
    expect(() => postgresOutbox(contracts as never)).toThrow(
      expect.objectContaining({ code: 'INVALID_OPTION', option: 'contracts' }),
    );
  });
});
