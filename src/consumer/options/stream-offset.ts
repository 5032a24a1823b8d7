import type { QueueContract } from '../../contracts/types.js';
import { ConfigurationError } from '../../errors.js';
import { type Check, expectInteger, show } from '../../util/checks.js';

/**
 * Where a consumer of a stream begins: at the `'first'` message that the stream holds; with the `'last'` block that was
 * written, which is one message or several; with the `'next'` message that is sent; at an offset; or with the messages since
 * a time. A time is resolved to a block and to the second, so some older messages may come with it.
 */
export type StreamOffset = 'first' | 'last' | 'next' | number | Date;

/** Expects a {@link StreamOffset}. */
export const expectStreamOffset: Check = (value) => {
  if (value === 'first' || value === 'last' || value === 'next') return undefined;
  if (
    value instanceof Date ? !Number.isNaN(value.getTime()) && value.getTime() >= 0 : !expectInteger(0)(value)
  )
    return undefined;
  return "'first', 'last', 'next', a whole number from 0, or a Date";
};

/** Checks the options that only a stream accepts, and those that it refuses, as measured on 3.10, 4.0 and 4.3. */
export function checkStreamOptions(
  { name, type }: QueueContract,
  options: {
    readonly offset?: StreamOffset | undefined;
    readonly noAck?: boolean | undefined;
    readonly exclusive?: boolean | undefined;
    readonly priority?: number | undefined;
  },
): void {
  if (type !== 'stream') {
    if (options.offset === undefined) return;
    throw new ConfigurationError(
      'offset',
      `consumer of the queue '${name}': only a stream has offsets, and this is a ${type} queue; got ${show(options.offset)}`,
    );
  }
  const refused = (option: string, why: string) =>
    new ConfigurationError(option, `consumer of the stream '${name}': ${why}`);
  if (options.noAck)
    throw refused('noAck', 'RabbitMQ requires acknowledgements for streams. Leave this option out');
  if (options.exclusive)
    throw refused('exclusive', 'RabbitMQ ignores it on streams, of which each consumer reads all messages');
  if (options.priority !== undefined)
    throw refused('priority', 'RabbitMQ refuses it on streams, of which each consumer reads all messages');
}
