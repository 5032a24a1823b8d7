import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { procedure } from '../../../src/contracts/procedure.js';

const schemas = { request: z.string(), response: z.number() };

describe('a procedure', () => {
  it('has a plain durable classic queue of its name, without a failure policy', () => {
    const quote = procedure('quote', schemas);
    expect(quote).toMatchObject({ kind: 'procedure', name: 'quote', codec: 'json', ...schemas });
    expect(quote.queue).toMatchObject({
      name: 'quote',
      type: 'classic',
      durable: true,
      arguments: {},
      deadLetter: undefined,
      retry: { attempts: 1 },
    });
    expect(Object.isFrozen(quote)).toBe(true);
  });

  it('refuses requests for a full queue, unless told otherwise', () => {
    const arguments_ = (options: object) => procedure('p', { ...schemas, ...options }).queue.arguments;
    expect(arguments_({ maxLength: 5 })).toEqual({
      'x-queue-type': 'classic',
      'x-max-length': 5,
      'x-overflow': 'reject-publish',
    });
    expect(arguments_({ maxLengthBytes: 5, overflow: 'drop-head' })).toMatchObject({
      'x-overflow': 'drop-head',
    });
    expect(arguments_({ maxLength: 5, overflow: undefined })).toMatchObject({
      'x-overflow': 'reject-publish',
    });
  });

  it('can be replicated', () => {
    const { queue } = procedure('p', { ...schemas, type: 'quorum' });
    expect(queue.arguments).toEqual({ 'x-queue-type': 'quorum', 'x-delivery-limit': 20 });
  });

  it.each([
    [{ retry: { attempts: 2 } }, 'retry'],
    [{ deadLetter: true }, 'deadLetter'],
    [{ bindings: [] }, 'bindings'],
    [{ messageTtlMs: 5 }, 'messageTtlMs'],
    [{ exclusive: true }, 'exclusive'],
    [{ type: 'stream' }, 'type'],
    [{ deliveryLimit: 5 }, 'deliveryLimit'],
    [{ colour: 'red' }, 'colour'],
    [{ request: 'string' }, 'request'],
    [{ response: undefined }, 'response'],
  ])('refuses %j, naming the option', (options, option) => {
    const make = () => procedure('p', { ...schemas, ...options } as never);
    expect(make).toThrow(expect.objectContaining({ code: 'INVALID_OPTION', option }));
  });

  it('refuses a bad name, and anything but options', () => {
    expect(() => procedure('amq.quote', schemas)).toThrow(/'amq\.'/);
    expect(procedure('amq.gen-1', { ...schemas, declare: false }).name).toBe('amq.gen-1');
    expect(() => procedure('p', undefined as never)).toThrow(/expected an object/);
  });
});
