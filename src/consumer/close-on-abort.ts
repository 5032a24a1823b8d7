import { onAbort } from '../util/on-abort.js';

interface Closable {
  close(): Promise<unknown>;
}

const forgotten = new FinalizationRegistry<() => void>((unsubscribe) => unsubscribe());

/**
 * Closes a consumer when its signal aborts; the function that it returns calls that off. The signal may live as long as the
 * program, and does not hold a consumer that its last loop has left and nobody will use again.
 */
export function closeOnAbort(consumer: Closable, signal: AbortSignal): () => void {
  const reference = new WeakRef(consumer);
  const unsubscribe = onAbort(signal, () => void reference.deref()?.close());
  forgotten.register(consumer, unsubscribe);
  return unsubscribe;
}
