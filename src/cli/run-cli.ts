import { CommanderError } from "commander";
import { ProcmanError } from "../contract/errors.js";
import type { Cli } from "./cli.js";
import { CliError } from "./cli-error.js";
import { EXIT } from "./exit-codes.js";
import { OutputClosed } from "./terminal/output.js";
import { printable } from "./format/printable.js";
import { createProgram } from "./program.js";

/**
 * Runs one command line (without the program's own name).
 * @returns the exit code; what was to be said has been said
 */
export async function runCli(args: readonly string[], cli: Cli): Promise<number> {
  let exitCode: number = EXIT.ok;
  try {
    const program = createProgram(cli, (code) => {
      exitCode = code;
    });
    await program.parseAsync(args, { from: "user" });
    await cli.stdout.flush();
    await cli.stderr.flush();
    return exitCode;
  } catch (error) {
    return report(error, cli);
  }
}

/** Says on one line of stderr what went wrong. */
async function report(failure: unknown, cli: Cli): Promise<number> {
  if (failure instanceof OutputClosed) return EXIT.ok;
  // It has been said by commander.
  if (failure instanceof CommanderError) return failure.exitCode === 0 ? EXIT.ok : EXIT.usage;
  const { message, exitCode } = described(failure);
  const prefix = cli.stderr.paint("red", "procman:");
  await cli.stderr.line(`${prefix} ${printable(message)}`).catch(() => {});
  return exitCode;
}

function described(error: unknown): { message: string; exitCode: number } {
  if (error instanceof CliError) return error;
  if (error instanceof ProcmanError) return { message: error.message, exitCode: EXIT.error };
  const message = error instanceof Error ? error.message : String(error);
  return { message, exitCode: EXIT.error };
}
