/** How long a message may wait in this process, unacknowledged: the server takes it back after 30 minutes. */
export const MAX_HOLD_MS = 20 * 60_000;
