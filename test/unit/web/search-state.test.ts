import { expect, test } from "vitest";
import type { Job } from "../../../src/contract/job.js";
import type { OutputLine, WatchEvent, WatchOptions } from "../../../src/contract/procman.js";
import { invalidArgument } from "../../../src/contract/errors.js";
import { literal, SearchState } from "../../../src/web/state/search-state.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

/** A job whose stdout is looked through as the server does it. */
class SearchedProcman extends FakeProcman {
  readonly lines: readonly string[];

  constructor(lines: readonly string[]) {
    super();
    this.lines = lines;
  }

  job(): Job {
    return this.addJob("job1", { stdoutBytes: this.lines.join("\n").length + 1 });
  }

  override async *watch(_: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent> {
    expect(options).toMatchObject({ streams: ["stdout", "stderr"], follow: false });
    const pattern = new RegExp((options.pattern ?? "").replace("(?i)", ""), "i");
    yield { type: "opened", job: this.job() };
    let offset = 0;
    for (const text of this.lines) {
      const nextOffset = offset + text.length + 1;
      const line: OutputLine = { stream: "stdout", text, offset, nextOffset, terminator: "lf" };
      if (pattern.test(text)) yield { type: "line", ...line };
      offset = nextOffset;
      yield { type: "searched", stdoutOffset: offset, stderrOffset: 0 };
    }
    yield { type: "ended", job: this.job() };
  }
}

async function find(lines: readonly string[], text: string, isRegex = false) {
  const procman = new SearchedProcman(lines);
  const search = new SearchState(procman, "job1");
  search.text.value = text;
  search.isRegex.value = isRegex;
  const first: string[] = [];
  await search.run(procman.job(), "both", (hit) => first.push(hit.text));
  const hits = search.status.value?.hits.map((hit) => hit.text);
  return { procman, search, hits, first };
}

test("every line with the text is found, in any case, from the first on", async () => {
  const { search, hits, first } = await find(["a.b", "axb", "A.B again"], "a.b");
  expect(hits).toEqual(["a.b", "A.B again"]);
  expect(first).toEqual(["a.b"]);
  expect(search.status.value).toMatchObject({ isRunning: false, hasMore: false, share: 1 });
  expect(search.step(1)?.text).toBe("A.B again");
  expect(search.step(1)?.text).toBe("a.b");
  expect(search.step(-1)?.text).toBe("A.B again");
});

test("so is what a regular expression matches", async () => {
  expect((await find(["a.b", "axb"], "^a.b$", true)).hits).toEqual(["a.b", "axb"]);
});

test("what is nowhere is not found", async () => {
  const { search, hits } = await find(["one", "two"], "three");
  expect(hits).toEqual([]);
  expect(search.step(1)).toBeUndefined();
});

test("there is an end to the hits that are kept", async () => {
  const { search } = await find(
    Array.from({ length: 600 }, () => "hit"),
    "hit",
  );
  expect(search.status.value?.hits).toHaveLength(500);
  expect(search.status.value?.hasMore).toBe(true);
});

test("what is wrong with the pattern is told, and clearing forgets it", async () => {
  const procman = new SearchedProcman(["x"]);
  procman.watch = () => {
    throw invalidArgument("pattern", "has no closing )");
  };
  const search = new SearchState(procman, "job1");
  search.text.value = "(";
  search.isRegex.value = true;
  await search.run(procman.job(), "both", () => {});
  expect(search.error.value?.violations[0]?.description).toBe("has no closing )");
  search.clear();
  expect([search.text.value, search.status.value, search.error.value]).toEqual([
    "",
    undefined,
    undefined,
  ]);
});

test("a text is looked for as it is", () => {
  expect(literal("a.b*[c]{1}\\(d)|^$+?")).toBe("a\\.b\\*\\[c\\]\\{1\\}\\\\\\(d\\)\\|\\^\\$\\+\\?");
});
