import { Command } from "commander";
import type { Procman } from "../../contract/procman.js";
import { STREAMS } from "../../contract/job.js";
import { choices } from "../choice-option.js";
import type { Cli } from "../cli.js";
import { CliError } from "../cli-error.js";
import { type CommandContext, withClient } from "./command-context.js";
import { type DetachKeyOption, detachKeyOption } from "../terminal/detach-key.js";
import {
  copyOutput,
  type Followed,
  sayHowItEnded,
  untilInterrupted,
  type WayBack,
} from "./follow-job.js";
import { EXIT } from "../exit-codes.js";
import { followWithInput } from "../terminal/follow-with-input.js";
import { canInteract, LEAVE_SIGNALS } from "../terminal/interact.js";
import { outputStart, type OutputStartOptions } from "../output-start-options.js";
import type { JsonOption } from "../format/print-job.js";
import { resolveJobId } from "./find-jobs.js";
import type { StateDirOption } from "../state-dir.js";
import { parseWholeNumber } from "../whole-number-option.js";

interface AttachOptions extends StateDirOption, JsonOption, OutputStartOptions, DetachKeyOption {
  readonly follow: boolean;
  readonly interactive?: boolean;
}

const HELP = `
The job's stdout goes to stdout and its stderr to stderr, byte by byte. Offsets
are positions in each stream, from 0; "procman get" tells their sizes.
Ctrl-C leaves; the job goes on.

With -i, stdin goes to the job, which has to have been started with -i as well. The
end of stdin leaves the job's input open; "procman send --close" closes it. Where
the job has a terminal, and this is one, it becomes the job's: every key goes
there, Ctrl-C too; Ctrl-] leaves, and the job goes on. It begins with a screenful
of what was shown before.

Examples:
  procman attach k3x
  procman attach -i k3x
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
    .option("-i, --interactive", "send stdin to the job; its terminal becomes this one")
    .addOption(detachKeyOption())
    .option("--json", "the events as JSON lines, data in base64")
    .addHelpText("after", HELP)
    .action(async (given: string, options: AttachOptions) => {
      const { follow, json = false, stateDir } = options;
      await withClient(context, stateDir, async (client) => {
        const id = await resolveJobId(client, given);
        const attach = { ...outputStart(options), follow, json };
        const way = { id, stateDirOption: stateDirOption(stateDir) };
        const followed = options.interactive
          ? await enter(client, id, options, way, cli)
          : await untilInterrupted(
              (signal) => copyOutput(client, id, { ...attach, signal }, cli),
              cli.interruption(),
              way,
              cli,
            );
        if (followed.kind === "detached") return exit(followed.exitCode);
        await sayHowItEnded(followed.job, cli);
      });
    });
}

async function enter(
  client: Procman,
  id: string,
  options: AttachOptions,
  way: WayBack,
  cli: Cli,
): Promise<Followed> {
  if (!options.follow) {
    throw new CliError("-i and --no-follow exclude each other", { exitCode: EXIT.usage });
  }
  const job = await client.get(id);
  if (!job.stdin) throw new CliError(`job ${id} takes no input; it was started without -i`);
  const { json = false, detachKey, stdoutOffset, stderrOffset, stream } = options;
  const interactive = !json && canInteract(job, cli);
  if (interactive && (stdoutOffset ?? stderrOffset ?? stream) !== undefined) {
    const message =
      "--stdout-offset, --stderr-offset and --stream are not for a terminal's output; --tail is";
    throw new CliError(message, { exitCode: EXIT.usage });
  }
  const { windowSize } = cli.stdout;
  const screenful = job.pty && windowSize ? { tailLines: windowSize.rows } : {};
  const bytes = { close: false };
  const attach = { ...screenful, ...outputStart(options), json, detachKey, bytes, redraw: true };
  const interruption = cli.interruption(interactive ? LEAVE_SIGNALS : undefined);
  return followWithInput(client, job, attach, interruption, way, cli);
}
