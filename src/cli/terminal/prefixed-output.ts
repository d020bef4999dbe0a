import type { Job, Stream } from "../../contract/job.js";
import type { AttachOptions, Procman } from "../../contract/procman.js";
import { LineSplitter } from "../../logs/lines/line-splitter.js";
import type { Cli } from "../cli.js";
import { displayWidth } from "../format/columns.js";
import { OutputGaps, unexpectedEnd } from "./copy-output.js";
import type { Style } from "./output.js";

/** One after another, so that neighbours differ. */
export const LINE_STYLES: readonly Style[] = [
  "cyan",
  "yellow",
  "green",
  "magenta",
  "blue",
  "cyanBright",
  "yellowBright",
  "greenBright",
  "magentaBright",
  "blueBright",
];

/** What stands before each line of a job. */
export interface LinePrefix {
  readonly text: string;
  readonly style: Style;
}

/** Returns the prefix of each job: its name, or its id where it has none or shares it. */
export function linePrefixes(jobs: readonly Job[]): LinePrefix[] {
  const isShared = (job: Job) => jobs.some((each) => each !== job && each.name === job.name);
  const names = jobs.map((job) => (job.name === undefined || isShared(job) ? job.id : job.name));
  const width = Math.max(...names.map(displayWidth));
  return names.map((name, index) => ({
    text: `${name.padEnd(width)} | `,
    style: LINE_STYLES[index % LINE_STYLES.length] as Style,
  }));
}

/**
 * Copies the output of one of several jobs, a line at a time with its prefix, to its end.
 * The lines of its stdout go to stdout, and those of its stderr to stderr. A terminal is
 * not shown what the command itself would have written over: lines that end with "\r".
 */
export async function copyPrefixed(
  client: Procman,
  id: string,
  prefix: LinePrefix,
  attach: AttachOptions,
  cli: Cli,
): Promise<Job> {
  const splitters = new Map<Stream, LineSplitter>();
  const gaps = new OutputGaps(attach);
  const print = async (stream: Stream, text: string) => {
    const output = cli[stream];
    await output.line(output.paint(prefix.style, prefix.text) + text);
  };
  const printLines = async (stream: Stream, splitter: LineSplitter) => {
    for (let line = splitter.next(); line; line = splitter.next()) {
      if (line.terminator !== "cr" || !cli[stream].isTerminal) await print(stream, line.text);
    }
  };
  const endLines = async (stream: Stream) => {
    const splitter = splitters.get(stream);
    splitters.delete(stream);
    splitter?.end();
    if (splitter) await printLines(stream, splitter);
  };
  const note = async (text: string | undefined) => {
    if (text && cli.stderr.isTerminal) await print("stderr", cli.stderr.paint("dim", text));
  };
  for await (const event of client.attach(id, attach)) {
    switch (event.type) {
      case "opened":
        gaps.opened(event.job);
        break;
      case "chunk": {
        const { stream, offset, data } = event;
        const gap = gaps.before(stream, offset, offset + data.length);
        if (gap) await endLines(stream);
        await note(gap);
        const splitter = splitters.get(stream) ?? new LineSplitter(offset);
        splitters.set(stream, splitter);
        splitter.push(data);
        await printLines(stream, splitter);
        break;
      }
      case "truncated":
        await endLines(event.stream);
        await note(gaps.truncated(event));
        break;
      case "ended":
        for (const stream of splitters.keys()) await endLines(stream);
        gaps.throwIfMissing();
        return event.job;
    }
  }
  throw unexpectedEnd(id);
}
