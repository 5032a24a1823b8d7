/** How long a send of the workload may take. */
export const SEND_TIMEOUT_MS = 20_000;
