/** The longest delay: 60 days, in milliseconds. */
export const MAX_DELAY_MS = 60 * 24 * 60 * 60_000;

/** How long `close` waits by default, in milliseconds: less than the 30 s from SIGTERM to SIGKILL on Kubernetes. */
export const DEFAULT_CLOSE_TIMEOUT_MS = 25_000;
