import { Command } from "commander";
import type { Job } from "../../contract/job.js";
import type { Procman } from "../../contract/procman.js";
import { CliError, EXIT } from "../exit-codes.js";
import { copyOutput } from "../terminal/copy-output.js";
import { canInteract, DETACH_SIGNALS } from "../terminal/interact.js";
import type { CommandContext } from "./command-context.js";
import { followJob, followSeveral, followWithInput } from "./follow-job.js";
import {
  addSelection,
  chosenJobs,
  type SelectionOptions,
  selectionOf,
  UNENDED_STATUSES,
  usageError,
} from "./job-argument.js";
import {
  addOutputStartOptions,
  type DetachKeyOption,
  detachKeyOption,
  type JsonOption,
  outputStart,
  type OutputStartOptions,
} from "./options.js";

interface AttachOptions extends JsonOption, SelectionOptions, OutputStartOptions, DetachKeyOption {
  readonly follow: boolean;
  readonly interactive?: boolean;
}

const HELP = `
The stdout of the job goes to stdout and its stderr to stderr, byte by byte. An
offset is a position in a stream, from 0; "procman get" shows how long each one is.
Ctrl-C leaves, and the job goes on.

Of several jobs each line has its job before it, by its name or id. --label, --name and
--all select those that have not ended, unless --status says otherwise.

With -i, stdin goes to the job. The job must have been started with -i, too. When
stdin ends, the input of the job stays open; "procman send --close" closes it. If the
job has a terminal, and this is one, every key goes to the job, also Ctrl-C. Ctrl-]
leaves. The last screenful of output is shown first.

Examples:
  procman attach k3x
  procman attach web db
  procman attach --label team=ml --tail 5
  procman attach -i k3x
  procman attach --tail 20 k3x
  procman attach --no-follow --stream stdout k3x > out.log`;

export function attachCommand(context: CommandContext): Command {
  const { cli } = context;
  const command = new Command("attach")
    .description("show the output of jobs, and follow it to the end")
    .option("--follow", "show new output until the job has ended", true)
    .option("--no-follow", "show only the output that is there now");
  return addOutputStartOptions(addSelection(command, "every job that runs"))
    .option("-i, --interactive", "send stdin to the job; in a terminal, every key")
    .addOption(detachKeyOption())
    .option(
      "--json",
      "print each event as a JSON line, data in base64; of several jobs with the job's id",
    )
    .addHelpText("after", HELP)
    .action((parsed: string[], options: AttachOptions) => {
      const given = context.allWords(parsed);
      const selection = selectionOf(given, options);
      if (selection || given.length > 1) return attachSeveral(context, given, options);
      return context.withJob(given[0], options, async (client, id) => {
        if (options.interactive) {
          await attachInput(context, client, id, options);
          return;
        }
        const { follow, json = false } = options;
        const copy = { ...outputStart(options), follow, json };
        await followJob(context, { id, interruption: cli.interruption() }, (signal) =>
          copyOutput(client, id, { ...copy, signal }, cli),
        );
      });
    });
}

/** @throws CliError for what is for a single job */
async function attachSeveral(
  context: CommandContext,
  given: readonly string[],
  options: AttachOptions,
): Promise<void> {
  const { interactive, json = false, stdoutOffset, stderrOffset, follow } = options;
  if ((interactive ?? stdoutOffset ?? stderrOffset) !== undefined) {
    throw usageError("-i, --stdout-offset and --stderr-offset are for a single job");
  }
  await context.withClient(async (client) => {
    const jobs = await chosenJobs(client, given, options, (filter) => ({
      statuses: UNENDED_STATUSES,
      ...filter,
    }));
    await followSeveral(context, client, jobs, { ...outputStart(options), follow, json });
  });
}

async function attachInput(
  context: CommandContext,
  client: Procman,
  id: string,
  options: AttachOptions,
): Promise<Job | undefined> {
  if (!options.follow) {
    throw new CliError("-i and --no-follow exclude each other", { exitCode: EXIT.usage });
  }
  const job = await client.get(id);
  if (!job.stdin) throw new CliError(`job ${id} takes no input; it was started without -i`);
  const { cli } = context;
  const { json = false, detachKey, stdoutOffset, stderrOffset, stream } = options;
  const isTerminal = !json && canInteract(job, cli);
  if (isTerminal && (stdoutOffset ?? stderrOffset ?? stream) !== undefined) {
    const message =
      "--stdout-offset, --stderr-offset and --stream are not for a terminal's output; --tail is";
    throw new CliError(message, { exitCode: EXIT.usage });
  }
  const { windowSize } = cli.stdout;
  const screenful = job.pty && windowSize ? { tailLines: windowSize.rows } : {};
  return followWithInput(context, client, job, {
    ...screenful,
    ...outputStart(options),
    json,
    detachKey,
    pump: { close: false },
    redraw: true,
    interruption: cli.interruption(isTerminal ? DETACH_SIGNALS : undefined),
  });
}
