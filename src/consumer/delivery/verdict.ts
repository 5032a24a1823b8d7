/** The decision on a message. */
export type Verdict =
  | { readonly kind: 'ack'; readonly isDuplicate?: boolean }
  | {
      readonly kind: 'retry';
      readonly error: unknown;
      readonly delayMs?: number | undefined;
      /** The reason that traces show instead of the error. */
      readonly reason?: undefined;
    }
  | { readonly kind: 'dead-letter'; readonly error: unknown; readonly reason?: string | undefined }
  | { readonly kind: 'requeue' }
  /** Comes back to this consumer after a while, unchanged. */
  | { readonly kind: 'park'; readonly delayMs: number }
  /** Requeues; counts as a failed attempt. */
  | { readonly kind: 'reject' }
  /** Acknowledges a request once its answer is confirmed. */
  | { readonly kind: 'answer'; readonly answered: Promise<void> | undefined };
