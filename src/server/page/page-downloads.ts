import type { ServerResponse } from "node:http";
import { once } from "node:events";
import { type Stream, STREAMS } from "../../contract/job.js";
import type { Procman } from "../../contract/procman.js";

/** A job's output as a file. */
export interface Download {
  readonly jobId: string;
  readonly stream: Stream;
}

/** Returns what a page asks for; undefined where that is nothing. */
export function parseDownload(text: string): Download | undefined {
  try {
    const { jobId, stream } = JSON.parse(text) as Record<string, unknown>;
    const known = STREAMS.find((each) => each === stream);
    return typeof jobId === "string" && known ? { jobId, stream: known } : undefined;
  } catch {
    return undefined;
  }
}

/** Sends what there is of a stream's log, byte for byte. */
export async function sendDownload(
  procman: Pick<Procman, "attach">,
  { jobId, stream }: Download,
  res: ServerResponse,
): Promise<void> {
  const leaving = new AbortController();
  res.once("close", () => leaving.abort());
  const { signal } = leaving;
  for await (const event of procman.attach(jobId, { streams: [stream], signal })) {
    if (event.type === "opened") {
      res.writeHead(200, {
        "Content-Type": "application/octet-stream",
        // Of an id: nobody's text.
        "Content-Disposition": `attachment; filename="${event.job.id.replace(/[^\w.-]/g, "_")}.${stream}.log"`,
        "Content-Security-Policy": "sandbox",
        "X-Content-Type-Options": "nosniff",
      });
    }
    if (event.type === "chunk" && !res.write(event.data)) await once(res, "drain", { signal });
  }
  res.end();
}
