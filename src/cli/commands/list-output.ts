import { type Command, InvalidArgumentError, Option } from "commander";
import type { Job } from "../../contract/job.js";
import { jobJson } from "../../wire/json.js";
import { CliError, EXIT } from "../exit-codes.js";
import { FIELD_NAMES, jobFormatter } from "../format/job-fields.js";
import type { JsonOption } from "./options.js";

export const LIST_FORMS = ["table", "json", "jsonl"] as const;

type ListForm = (typeof LIST_FORMS)[number];

/** How a list of jobs is printed. */
export type ListOutput =
  | { readonly type: "table" }
  /** One array of all jobs. */
  | { readonly type: "json" }
  /** One object a line. */
  | { readonly type: "jsonl" }
  | { readonly type: "lines"; readonly format: (job: Job) => string };

export interface ListOutputOptions extends JsonOption {
  readonly output?: ListForm;
  readonly format?: string;
  readonly quiet?: boolean;
}

export const FORMAT_HELP = `
Fields of --format, in braces; \\t and \\n are a tab and a line break:
${wrapped(FIELD_NAMES.join(" "), 76)}`;

export function addListOutputOptions(command: Command): Command {
  return command
    .addOption(
      new Option("-o, --output <form>", "how to print it: table, json (an array) or jsonl")
        .argParser(parseForm)
        .conflicts(["format", "quiet", "json"]),
    )
    .addOption(
      new Option(
        "--format <template>",
        "print a line for each job, such as '{id} {status}'",
      ).conflicts(["quiet", "json"]),
    )
    .addOption(new Option("-q, --quiet", "print only the ids").conflicts("json"))
    .option("--json", "the same as -o jsonl: one JSON object a line");
}

/** @throws CliError for a format with unknown fields */
export function listOutput({ output, format, quiet, json }: ListOutputOptions): ListOutput {
  if (quiet) return { type: "lines", format: ({ id }) => id };
  if (format !== undefined) return { type: "lines", format: jobFormatter(format) };
  return { type: json ? "jsonl" : (output ?? "table") };
}

/** Returns the lines of jobs that are printed one by one. */
export function jobLines(
  jobs: readonly Job[],
  output: Exclude<ListOutput, { type: "table" }>,
): string[] {
  switch (output.type) {
    case "json": {
      const last = jobs.length - 1;
      return [
        "[",
        ...jobs.map((job, index) => `  ${jobJson(job)}${index === last ? "" : ","}`),
        "]",
      ];
    }
    case "jsonl":
      return jobs.map((job) => jobJson(job));
    case "lines":
      return jobs.map(output.format);
  }
}

/** @throws CliError where jobs come without an end */
export function requireLines(output: ListOutput): void {
  if (output.type !== "json") return;
  const message = "-o json is an array, which --watch never ends; use -o jsonl";
  throw new CliError(message, { exitCode: EXIT.usage });
}

function parseForm(text: string): ListForm {
  const form = LIST_FORMS.find((each) => each === text);
  if (form) return form;
  throw new InvalidArgumentError(`Choose from ${LIST_FORMS.join(", ")}.`);
}

function wrapped(text: string, columns: number): string {
  return text.replace(new RegExp(`(.{1,${columns}})(?: |$)`, "g"), "  $1\n").trimEnd();
}
