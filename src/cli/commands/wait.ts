import { Command, Option } from "commander";
import { isTerminal, type Stream, STREAMS } from "../../contract/job.js";
import type { WaitedJob, WaitUntil } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import { waitedJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { CliError, EXIT, jobExitCode } from "../exit-codes.js";
import { formatJobSummary } from "../format/job-details.js";
import { printable } from "../format/printable.js";
import type { CommandContext } from "./command-context.js";
import { addJobArgument, type LastOption } from "./job-argument.js";
import {
  choiceParser,
  type JsonOption,
  outputStart,
  type OutputStartOptions,
  parseDurationMs,
  parseWholeNumber,
} from "./options.js";

interface WaitOptions extends JsonOption, LastOption, Omit<OutputStartOptions, "tail"> {
  readonly timeout?: number;
  readonly forOutput?: string;
  readonly forPort?: number;
}

const HELP = `
Exits as the job did, or with 124 when --timeout passed first and the job goes on.
"procman --help" lists the other exit codes.

With --for-output or --for-port it waits for that line or port, prints it, and
exits with 0. If the job ends first, it exits as the job did, but with 1 instead
of 0. A pattern has RE2's syntax and may match anywhere in a line. The search
begins at the start of the output, or at the offsets.

Examples:
  procman wait k3x && echo done
  procman wait --timeout 10m k3x
  procman wait --timeout 0 k3x                        124: it still runs
  procman wait --for-output 'ready in \\d+ ms' --timeout 1m k3x
  procman wait --for-output '^ERROR' --stream stderr --timeout 0 k3x
  procman wait --for-port 3000 k3x && open http://localhost:3000
  port=$(procman wait --for-port 0 k3x)               whichever it is`;

export function waitCommand(context: CommandContext): Command {
  const { cli } = context;
  const description = "wait for the end of a job and exit as it did, or wait for a line or a port";
  return addJobArgument(new Command("wait").description(description))
    .option("-t, --timeout <duration>", "wait no longer than this; 0: do not wait", parseDurationMs)
    .addOption(
      new Option("--for-output <pattern>", "wait for a line of output that matches").conflicts(
        "forPort",
      ),
    )
    .option(
      "--for-port <port>",
      "wait until the job listens on this TCP port; 0: on any",
      parseWholeNumber,
    )
    .option<readonly Stream[]>(
      "--stream <stream>",
      "look only at stdout, or only at stderr",
      choiceParser(STREAMS),
    )
    .option("--stdout-offset <byte>", "look at stdout from this byte on", parseWholeNumber)
    .option("--stderr-offset <byte>", "look at stderr from this byte on", parseWholeNumber)
    .option("--json", "print a JSON object: the job, and what was waited for")
    .addHelpText("after", HELP)
    .action((given: string | undefined, options: WaitOptions) => {
      const until = waitUntil(options);
      return context.withJob(given, options, async (client, id) => {
        const wanted = defined({ timeoutMs: options.timeout, until });
        const waited = await client.wait(id, wanted);
        if (until) {
          context.exitCode = await reportOutcome(waited, until, options, cli);
          return;
        }
        await context.printJob(waited, options);
        if (!isTerminal(waited)) await cli.stderr.line(`procman: job ${id} has not ended yet`);
        context.exitCode = jobExitCode(waited);
      });
    });
}

/** Returns what is waited for besides the job's end. @throws CliError */
function waitUntil(options: WaitOptions): WaitUntil | undefined {
  const { forOutput: pattern, forPort: port } = options;
  const start = outputStart(options);
  if (pattern !== undefined) return { type: "output", pattern, ...start };
  if (Object.keys(start).length > 0) {
    const message = "--stream, --stdout-offset and --stderr-offset go with --for-output";
    throw new CliError(message, { exitCode: EXIT.usage });
  }
  return port === undefined ? undefined : { type: "port", port };
}

/** Prints what was waited for, or why it did not come. @returns the exit code */
async function reportOutcome(
  waited: WaitedJob,
  until: WaitUntil,
  { json }: JsonOption,
  { stdout, stderr }: Cli,
): Promise<number> {
  const { outcome } = waited;
  if (json) await stdout.line(waitedJson(waited));
  switch (outcome?.type) {
    case "line":
      // To a program it goes as it is.
      if (!json)
        await stdout.line(stdout.isTerminal ? printable(outcome.line.text) : outcome.line.text);
      return EXIT.ok;
    case "port":
      if (!json) await stdout.line(String(outcome.port));
      return EXIT.ok;
    case "searched":
    case undefined: {
      const endedFirst = outcome === undefined && isTerminal(waited);
      const what = until.type === "output" ? "no line matched" : "no such port was listened on";
      const summary = formatJobSummary(waited, stderr);
      await stderr.line(`procman: ${what}${endedFirst ? "" : " in time"}; ${summary}`);
      return endedFirst ? jobExitCode(waited) || EXIT.error : EXIT.timeout;
    }
  }
}
