/** Of the log that is read, and of the constant streams it is compared with. */
export const HISTORY_BYTES = 2 ** 30;
