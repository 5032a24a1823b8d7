import { AsyncResource } from 'node:async_hooks';
import { type ArgumentMetadata, type ExecutionContext, ForbiddenException } from '@nestjs/common';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { InterceptorsConsumer } from '@nestjs/core/interceptors/interceptors-consumer.js';
import { isObservable, lastValueFrom } from 'rxjs';
import { isThrownVerdict } from '../consumer/thrown-verdicts.js';
import type { Message } from '../index.js';
import type { Enhanced } from './enhancers.js';
import { filterFor } from './exception-filters.js';
import { CONTEXT_TYPE } from './message-of-host.js';
import { withBody } from './message-with-body.js';

const PIPE_METADATA: ArgumentMetadata = { type: 'custom', metatype: undefined, data: undefined };

const interceptorsConsumer = new InterceptorsConsumer();

/**
 * Runs a handler as Nest runs a route: guards, interceptors, pipes, `handle`, and filters for any error. It runs in an async
 * context of its own, so that a store that a guard or an interceptor enters does not leak to the next message.
 */
export function runHandler(enhanced: Enhanced, message: Message): unknown {
  return new AsyncResource('LeveretHandler').runInAsyncScope(run, undefined, enhanced, message);
}

async function run(enhanced: Enhanced, message: Message): Promise<unknown> {
  const { instance, callback, filters } = enhanced;
  const context = new ExecutionContextHost([message], instance.constructor as never, callback);
  context.setType(CONTEXT_TYPE);
  try {
    await passGuards(enhanced, context);
    return await intercept(enhanced, message);
  } catch (error) {
    // Not an error, but a verdict on the message.
    if (isThrownVerdict(error)) throw error;
    const filter = filterFor(filters, error);
    if (!filter) throw error;
    return await settled(filter.func(error, context));
  }
}

async function passGuards({ guards }: Enhanced, context: ExecutionContext): Promise<void> {
  for (const guard of guards) {
    if (!(await settled(guard.canActivate(context)))) throw new ForbiddenException('Forbidden resource');
  }
}

async function intercept(enhanced: Enhanced, message: Message): Promise<unknown> {
  const { instance, callback, interceptors } = enhanced;
  const next = async () => instance.handle(await transform(enhanced, message));
  return await settled(
    await interceptorsConsumer.intercept(interceptors, [message], instance, callback, next, CONTEXT_TYPE),
  );
}

async function transform({ pipes }: Enhanced, message: Message): Promise<Message> {
  if (pipes.length === 0) return message;
  let { body } = message;
  for (const pipe of pipes) body = await pipe.transform(body, PIPE_METADATA);
  return withBody(message, body);
}

/** The last value of an Observable; undefined for one without any. */
async function settled(result: unknown): Promise<unknown> {
  const value = await result;
  return isObservable(value) ? await lastValueFrom(value, { defaultValue: undefined }) : value;
}
