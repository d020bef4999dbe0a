import type { IncomingMessage, ServerResponse } from "node:http";
import { cors } from "@connectrpc/connect";

const MAX_AGE_SECONDS = 7200;

/** Lets an allowed page read the response to its call. */
export function allowCrossOrigin(res: ServerResponse, origin: string): void {
  res.setHeader("Access-Control-Allow-Origin", origin);
  res.setHeader("Access-Control-Expose-Headers", cors.exposedHeaders.join(", "));
  res.setHeader("Vary", "Origin");
}

/** Answers the question a browser asks before an allowed page's call. */
export function answerPreflight(req: IncomingMessage, res: ServerResponse): void {
  if (req.headers["access-control-request-method"] !== undefined) {
    res.setHeader("Access-Control-Allow-Methods", cors.allowedMethods.join(", "));
    res.setHeader(
      "Access-Control-Allow-Headers",
      [...cors.allowedHeaders, "Authorization"].join(", "),
    );
    res.setHeader("Access-Control-Max-Age", MAX_AGE_SECONDS);
  }
  res.writeHead(204).end();
}
