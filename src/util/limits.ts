/** The longest delay: 60 days, in milliseconds. */
export const MAX_DELAY_MS = 60 * 24 * 60 * 60_000;
