import { getEventListeners } from 'node:events';
import { Broker, queue } from 'leveret';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { onAbort } from '../../../src/util/on-abort.js';

let controller: AbortController;
let called: string[];

beforeEach(() => {
  controller = new AbortController();
  called = [];
});

const listeners = () => getEventListeners(controller.signal, 'abort').length;
const wait = (name: string) => onAbort(controller.signal, () => called.push(name));

describe('waiting for a signal', () => {
  it('calls back once when it aborts', () => {
    wait('a');
    controller.abort();
    controller.signal.dispatchEvent(new Event('abort'));

    expect(called).toEqual(['a']);
  });

  it('calls everyone who waits, in their order', () => {
    for (const name of ['a', 'b', 'c']) wait(name);
    controller.abort();

    expect(called).toEqual(['a', 'b', 'c']);
  });

  it('adds one listener, however many wait', () => {
    for (let index = 0; index < 100; index++) wait(String(index));

    expect(listeners()).toBe(1);
  });

  it('does not call a callback that was removed', () => {
    const unsubscribe = wait('a');
    wait('b');
    unsubscribe();
    controller.abort();

    expect(called).toEqual(['b']);
  });

  it('leaves no listener once everyone has called it off', () => {
    const callOffs = ['a', 'b'].map(wait);
    for (const unsubscribe of callOffs) unsubscribe();

    expect(listeners()).toBe(0);
  });

  it('can be called off twice without harm to those who came later', () => {
    const unsubscribe = wait('a');
    unsubscribe();
    wait('b');
    unsubscribe();
    wait('c');
    const count = listeners();
    controller.abort();

    expect({ called, count }).toEqual({ called: ['b', 'c'], count: 1 });
  });

  it('takes the same callback twice', () => {
    const callback = () => called.push('again');
    const unsubscribe = onAbort(controller.signal, callback);
    onAbort(controller.signal, callback);
    unsubscribe();
    controller.abort();

    expect(called).toEqual(['again']);
  });

  it('may call another one off while it calls back', () => {
    let unsubscribe = () => {};
    onAbort(controller.signal, () => unsubscribe());
    unsubscribe = wait('b');
    wait('c');

    expect(() => controller.abort()).not.toThrow();
    expect(called).toContain('c');
  });

  it('does not call back for a signal that aborted before', () => {
    controller.abort();
    wait('a');

    expect(called).toEqual([]);
  });
});

describe('one signal for a whole program', () => {
  const numbers = queue('numbers', z.number());

  it('carries one listener, whatever it closes, and none when all of that is closed', async () => {
    const { signal } = controller;
    const broker = await Broker.connect('memory:', { signal });
    const consumers = Array.from({ length: 12 }, () => broker.consumer(numbers, () => {}, { signal }));
    const nothing = { [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }) };
    const sending = broker.producer(numbers).sendAll(nothing, { signal });
    await Promise.all(consumers.map(({ ready }) => ready));
    const before = listeners();
    controller.abort();

    expect(before).toBe(1);
    expect(await sending).toEqual({ sent: 0, failed: [] });
    expect(await Promise.all(consumers.map(({ closed }) => closed))).toEqual(consumers.map(() => undefined));
    expect(await broker.close()).toEqual({ clean: true });
    expect(listeners()).toBe(0);
  });
});
