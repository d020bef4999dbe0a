import type { IncomingMessage, ServerResponse } from "node:http";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import type { Logger } from "pino";
import type { Peer } from "../access/peer.js";
import type { Metrics } from "../metrics/metrics.js";
import type { CallCheck } from "./connect-handler.js";
import { refuse } from "./refusal.js";

export interface ScrapeHandlerOptions {
  readonly metrics: Metrics;
  /** Whoever may not make calls may not see how many others make. */
  readonly check: CallCheck;
  readonly logger: Logger;
}

/** Serves a request, or returns false when it does not ask for metrics. */
export type ScrapeHandler = (req: IncomingMessage, res: ServerResponse, peer: Peer) => boolean;

/** Answers Prometheus, at /metrics. */
export function createScrapeHandler(options: ScrapeHandlerOptions): ScrapeHandler {
  const { metrics, check, logger } = options;
  return (req, res, peer) => {
    if (req.method !== "GET" || req.url?.split("?", 1)[0] !== "/metrics") return false;
    const error = check(req, res, peer);
    if (error) {
      refuse(res, { status: codeToHttpStatus(error.code), error });
      return true;
    }
    metrics.scrape().then(
      ({ contentType, text }) => res.writeHead(200, { "Content-Type": contentType }).end(text),
      (error: unknown) => {
        logger.error({ err: error }, "the metrics cannot be told");
        res.writeHead(500).end();
      },
    );
    return true;
  };
}
