import { Command } from "commander";
import { STREAMS } from "../../core/job.js";
import { choices } from "../choice-option.js";
import { type CommandContext, withClient } from "../command-context.js";
import { copyOutput, sayHowItEnded, untilInterrupted } from "../follow-job.js";
import { outputStart, type OutputStartOptions } from "../output-start-options.js";
import type { JsonOption } from "../print-job.js";
import { resolveJobId } from "../resolve-job-id.js";
import type { StateDirOption } from "../state-dir.js";
import { parseWholeNumber } from "../whole-number-option.js";

interface AttachOptions extends StateDirOption, JsonOption, OutputStartOptions {
  readonly follow: boolean;
}

const HELP = `
The job's stdout goes to stdout and its stderr to stderr, byte by byte. Offsets
are positions in each stream, from 0; "procman get" tells their sizes.
Ctrl-C leaves; the job goes on.

Examples:
  procman attach k3x
  procman attach --tail 20 k3x
  procman attach --no-follow --stream stdout k3x > out.log`;

/** Shows a job's output, and follows it. */
export function attachCommand(context: CommandContext): Command {
  const { cli, exit, stateDirOption } = context;
  return new Command("attach")
    .description("show a job's output, and follow it until the job has ended")
    .argument("<id>", "the job's id, or the beginning of it")
    .option("--follow", "go on with new output until the job has ended", true)
    .option("--no-follow", "only what there is now")
    .option("-n, --tail <lines>", "begin with the last so many lines", parseWholeNumber)
    .option("--stdout-offset <byte>", "nothing of stdout before this byte", parseWholeNumber)
    .option("--stderr-offset <byte>", "nothing of stderr before this byte", parseWholeNumber)
    .option("--stream <stream>", "only stdout or stderr", choices(STREAMS))
    .option("--json", "the events as JSON lines, data in base64")
    .addHelpText("after", HELP)
    .action(async (given: string, options: AttachOptions) => {
      const { follow, json = false, stateDir } = options;
      await withClient(context, stateDir, async (client) => {
        const id = await resolveJobId(client, given);
        const attach = { ...outputStart(options), follow, json };
        const followed = await untilInterrupted(
          (signal) => copyOutput(client, id, { ...attach, signal }, cli),
          cli.interruption(),
          { id, stateDirOption: stateDirOption(stateDir) },
          cli,
        );
        if (followed.kind === "detached") return exit(followed.exitCode);
        await sayHowItEnded(followed.job, cli);
      });
    });
}
