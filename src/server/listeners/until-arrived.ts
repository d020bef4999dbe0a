import type { IncomingMessage } from "node:http";

/** For what is on its way already; nobody is waited for longer. */
const CEILING_MS = 5000;

/**
 * Lets the rest of a request come in, unread, before its connection is closed:
 * one closed with bytes that nobody took is reset, and the client may lose the
 * answer with it.
 */
export function untilArrived(req: IncomingMessage): Promise<void> {
  if (req.complete || req.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CEILING_MS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    req.once("end", done);
    req.once("close", done);
    req.resume();
  });
}
