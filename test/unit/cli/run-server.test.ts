import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import { createLogger } from "../../../src/cli/run-server.js";

test("a command that could not be started does not put its arguments into the log", async () => {
  let logged = "";
  const logger = createLogger("info", { write: (line) => void (logged += line) });
  const child = spawn("/nonexistent", ["--password", "s3cret"]);
  const [error] = await once(child, "error");
  expect(JSON.stringify(error)).toContain("s3cret");
  logger.error({ err: error as Error }, "failed");
  expect(logged).toContain("ENOENT");
  expect(logged).not.toContain("s3cret");
});
