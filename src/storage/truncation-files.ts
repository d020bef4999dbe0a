import { existsSync } from "node:fs";
import { fromSystemError } from "../contract/errors.js";
import type { Truncation, TruncationStore } from "../core/ports.js";
import { replaceFile } from "../platform/durable-file.js";
import { hasCode } from "../platform/errno.js";
import { readSmallFile } from "../platform/small-file.js";
import { integer, shape } from "./json-shape.js";

const truncation = shape({ base: integer(0), truncations: integer(0) });
const parse = shape({ stdout: truncation, stderr: truncation });

/**
 * Stores in a small file how a job has truncated its logs; most jobs have none. It is
 * not synced: only a power cut loses it, and that ends the job and its output too.
 * Synchronous, so that no reader can be told of offsets that are not stored yet.
 */
export const truncationFiles: TruncationStore = {
  read({ truncations: path }) {
    try {
      // Most jobs have none, and an exception takes longer than to ask.
      if (!existsSync(path)) return undefined;
      return parse(JSON.parse(readSmallFile(path).text));
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      throw fromSystemError(error, `read ${path}`);
    }
  },

  write({ truncations: path }, { stdout, stderr }) {
    const text = JSON.stringify({ stdout: fieldsOf(stdout), stderr: fieldsOf(stderr) });
    try {
      replaceFile(path, text);
    } catch (error) {
      throw fromSystemError(error, `write ${path}`);
    }
  },
};

function fieldsOf({ base, truncations }: Truncation): Truncation {
  return { base, truncations };
}
