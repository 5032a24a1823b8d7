/** Another part that publishes for a broker, such as its dead letters. */
export interface BackgroundPublisher {
  /** Accepts nothing new and waits for what is in progress. */
  close(): Promise<void>;
  /** Accepts nothing new and abandons what is in progress. */
  abort(): void;
  /** Publishes what a resource alarm has held back. */
  flush(): void;
}
