/** Largest request message. A Start's arguments and environment fit: the kernel takes 2 MiB. */
export const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

/** Largest response message: a page of a thousand jobs, a snapshot of a hundred thousand. */
export const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** Longest deadline a client can set, 24.8 days: beyond, timers fire at once. */
export const MAX_DEADLINE_MS = 2 ** 31 - 1;
