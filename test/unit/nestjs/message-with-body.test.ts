import { expect, it } from 'vitest';
import { sideTable } from '../../../src/diagnostics/side-table.js';
import type { Message } from '../../../src/index.js';
import { withBody } from '../../../src/nestjs/message-with-body.js';

it('has the context of the message whose body it replaces', () => {
  const message = { body: 'raw', id: 'm-1', ack: () => true } as unknown as Message;
  const context = {};
  sideTable.contexts.set(message, context);
  const piped = withBody(message, 'piped');
  expect([piped.body, piped.id, piped.ack()]).toEqual(['piped', 'm-1', true]);
  expect(sideTable.contexts.get(piped)).toBe(context);
});
