/**
 * The options of `broker.producer(…)`. All producers of one contract share them: if given again, they must have the same
 * values.
 */
export interface ProducerOptions {
  /** How many messages may be published but not yet confirmed, 1 to 65 535. @defaultValue 1000 */
  readonly maxInFlight?: number | undefined;
  /** How many more messages may wait (64 MiB at most) before `BufferFullError`. 1 to 10 000 000. @defaultValue 10000 */
  readonly maxBuffered?: number | undefined;
  /** The time limit of each send, in milliseconds, 1 or more, or `Infinity`. @defaultValue 30000 */
  readonly timeoutMs?: number | undefined;
}
