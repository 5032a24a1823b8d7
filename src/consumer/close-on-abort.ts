import { onAbort } from '../util/on-abort.js';

interface Closable {
  close(): Promise<unknown>;
}

const forgotten = new FinalizationRegistry<() => void>((unsubscribe) => unsubscribe());

/**
 * Closes a consumer when its signal aborts; the returned function unsubscribes. The signal may live as long as the program,
 * and it does not retain a consumer whose last loop was left.
 */
export function closeOnAbort(consumer: Closable, signal: AbortSignal): () => void {
  const reference = new WeakRef(consumer);
  const unsubscribe = onAbort(signal, () => void reference.deref()?.close());
  forgotten.register(consumer, unsubscribe);
  return unsubscribe;
}
