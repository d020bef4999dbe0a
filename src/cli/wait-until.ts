import type { WaitedJob, WaitUntil } from "../contract/procman.js";
import { isTerminal } from "../contract/job.js";
import type { Cli } from "./cli.js";
import { CliError } from "./cli-error.js";
import { EXIT } from "./exit-codes.js";
import { formatJobSummary } from "./format/job-details.js";
import { jobExitCode } from "./format/job-exit-code.js";
import { waitedJson } from "../wire/json.js";
import { outputStart, type OutputStartOptions } from "./output-start-options.js";
import type { JsonOption } from "./format/print-job.js";

export interface WaitUntilOptions extends Omit<OutputStartOptions, "tail"> {
  readonly forOutput?: string;
  readonly forPort?: number;
}

/** What is waited for besides the job's end. @throws CliError */
export function waitUntil(options: WaitUntilOptions): WaitUntil | undefined {
  const { forOutput: pattern, forPort: port } = options;
  const start = outputStart(options);
  if (pattern !== undefined) return { type: "output", pattern, ...start };
  if (Object.keys(start).length > 0) {
    const message = "--stream, --stdout-offset and --stderr-offset go with --for-output";
    throw new CliError(message, { exitCode: EXIT.usage });
  }
  return port === undefined ? undefined : { type: "port", port };
}

/**
 * Prints what came, or says why it did not.
 * @returns the exit code
 */
export async function sayWhatCame(
  waited: WaitedJob,
  until: WaitUntil,
  { json }: JsonOption,
  cli: Cli,
): Promise<number> {
  const { outcome } = waited;
  if (json) await cli.stdout.line(waitedJson(waited));
  switch (outcome?.type) {
    case "line":
    case "port":
      if (!json)
        await cli.stdout.line(outcome.type === "line" ? outcome.line.text : `${outcome.port}`);
      return EXIT.ok;
    case "searched":
    case undefined: {
      const hasTime = outcome === undefined && isTerminal(waited);
      const what = until.type === "output" ? "no line matched" : "no such port was listened on";
      const summary = formatJobSummary(waited, cli.stderr);
      await cli.stderr.line(`procman: ${what}${hasTime ? "" : " in time"}; ${summary}`);
      return hasTime ? jobExitCode(waited) || EXIT.error : EXIT.waitTimeout;
    }
  }
}
