import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseProgress } from "../../../src/logs/progress/parse-progress.js";

const MIB = 1024 * 1024;

describe("what tells progress", () => {
  test.each([
    ["45%", { percent: 45, unit: "" }],
    ["45.2 %", { percent: 45.2, unit: "" }],
    ["45,2%", { percent: 45.2, unit: "" }],
    ["0%", { percent: 0, unit: "" }],
    ["100%", { percent: 100, unit: "" }],
    ["Downloading... 45% done", { percent: 45, unit: "" }],
    ["Processing lines: 45%", { percent: 45, unit: "" }],
    ["progress=45%", { percent: 45, unit: "" }],
    ["[=====>    ] 45%", { percent: 45, unit: "" }],
    ["Fetching https://example.com/100%25/3/10 45%", { percent: 45, unit: "" }],
    ["     32,768  45%    1.20MB/s    0:00:12", { percent: 45, unit: "B", rate: 1.2e6 }],
    ["45% ETA: 1m 20s", { percent: 45, unit: "", etaMs: 80_000 }],
    [
      "[download]  45.2% of 80.00MiB at 1.25MiB/s ETA 00:12",
      { percent: 45.2, total: 80 * MIB, unit: "B", rate: 1.25 * MIB, etaMs: 12_000 },
    ],
    [
      "progress [====----] 45% | ETA: 12s | 45/100",
      { percent: 45, current: 45, total: 100, unit: "", etaMs: 12_000 },
    ],
    ["CPU 3%, done 45%", { percent: 45, unit: "" }],

    ["[3/10]", { percent: 30, current: 3, total: 10, unit: "" }],
    ["[ 3/10] Building CXX object foo.o", { percent: 30, current: 3, total: 10, unit: "" }],
    ["3/10 files", { percent: 30, current: 3, total: 10, unit: "files" }],
    ["copied 3 / 10 Files, 2 skipped", { percent: 30, current: 3, total: 10, unit: "files" }],
    ["1,500/2,000 rows processed", { percent: 75, current: 1500, total: 2000, unit: "rows" }],
    ["29/100 steps", { percent: 29, current: 29, total: 100, unit: "steps" }],
    ["512/1024 bytes", { percent: 50, current: 512, total: 1024, unit: "B" }],
    ["Step 3/10 : RUN make", { percent: 30, current: 3, total: 10, unit: "steps" }],
    [
      "    Building [====>      ] 45/100: serde",
      { percent: 45, current: 45, total: 100, unit: "" },
    ],

    ["12.5 MiB / 80 MiB", { percent: 15.625, current: 12.5 * MIB, total: 80 * MIB, unit: "B" }],
    ["12.5MB/80MB", { percent: 15.625, current: 12.5e6, total: 80e6, unit: "B" }],
    ["500 kB of 2 GB", { percent: 0.025, current: 5e5, total: 2e9, unit: "B" }],
    [
      "abc: Downloading [==>  ]  12.5MB/80MB",
      { percent: 15.625, current: 12.5e6, total: 80e6, unit: "B" },
    ],
    [
      "   ━━━━━╸━━━ 12.5/80.0 MB 1.2 MB/s eta 0:01:12",
      { percent: 15.625, current: 12.5e6, total: 80e6, unit: "B", rate: 1.2e6, etaMs: 72_000 },
    ],

    [
      " 45%|####  | 45/100 [00:10<00:12,  4.5it/s]",
      { percent: 45, current: 45, total: 100, unit: "it", rate: 4.5, etaMs: 12_000 },
    ],
    [
      "train:   0%|          | 0/100 [00:00<?, ?it/s]",
      { percent: 0, current: 0, total: 100, unit: "it" },
    ],
    [
      "50%|█████     | 1/2 [00:02<1:00:02,  2.50s/it, loss=0.5]",
      { percent: 50, current: 1, total: 2, unit: "it", rate: 0.4, etaMs: 3_602_000 },
    ],
    [
      " 35%|███▌  | 1.20M/3.40M [00:10<00:12, 1.50MB/s]",
      { percent: 35, current: 1.2e6, total: 3.4e6, unit: "B", rate: 1.5e6, etaMs: 12_000 },
    ],
    [
      " 10%|█  | 1/10 [00:10<00:12, 12.0 keys/s]",
      { percent: 10, current: 1, total: 10, unit: "keys", rate: 12, etaMs: 12_000 },
    ],
    ["45it [00:10,  4.5it/s]", { current: 45, unit: "it", rate: 4.5 }],
    ["1.20kB [00:10, 1.50kB/s]", { current: 1200, unit: "B", rate: 1500 }],
    // What is more than all is all.
    [
      "145%|####| 145/100 [00:10<00:00,  4.5it/s]",
      { percent: 100, current: 145, total: 100, unit: "it", rate: 4.5, etaMs: 0 },
    ],
    [
      "  0%|    | 0/10 [00:02<00:20,  0.0s/it]",
      { percent: 0, current: 0, total: 10, unit: "it", etaMs: 20_000 },
    ],

    [
      "Receiving objects:  45% (450/1000), 1.2 MiB | 3.4 MiB/s",
      { percent: 45, current: 450, total: 1000, unit: "objects" },
    ],
    ["Resolving deltas: 100% (0/0)", { percent: 100, current: 0, unit: "deltas" }],
    // Counts that cannot be are left out.
    ["Receiving objects:  45% (1450/1000)", { percent: 45, unit: "" }],
    [
      "remote: Resolving deltas: 100% (5/5), done.",
      { percent: 100, current: 5, total: 5, unit: "deltas" },
    ],

    [
      '{"progress": {"percent": 45, "current": 9, "total": 20, "unit": "B", "rate": 2.5, "eta_seconds": 1.5}}',
      { percent: 45, current: 9, total: 20, unit: "B", rate: 2.5, etaMs: 1500 },
    ],
    [
      '{"level":"info","progress":{"current":3,"total":10}}',
      { percent: 30, current: 3, total: 10, unit: "" },
    ],
  ])("%s", (line, expected) => {
    expect(parseProgress(line)).toEqual({ ...expected, text: line });
  });
});

const MB_OF_TQDM = { unit: "B", rate: 1.5e6 };
const TENTHS = { percent: 30, current: 3, total: 10 };
const HALF = { percent: 50, current: 1, total: 2, unit: "" };

describe("of each form of progress", () => {
  test.each<[string, object]>([
    // git
    [
      "Checking out files: 45% (450/1000)",
      { percent: 45, current: 450, total: 1000, unit: "files" },
    ],
    ["Filtering: 45% (450/1000)", { percent: 45, current: 450, total: 1000, unit: "" }],
    ["remote:Counting objects: 1% (1/99)", { percent: 1, current: 1, total: 99, unit: "objects" }],
    // Looks like git's, but is not, so that what is counted is not known.
    ["a/Counting objects: 50% (1/2)", HALF],
    ["counting objects: 50% (1/2)", HALF],
    ["Counting objects 50% (1/2)", HALF],
    ["Counting objects: 50% (2/1)", { percent: 50, unit: "" }],

    // tqdm
    [
      " 150%|####| 45/100 [00:10<00:12, 4.5it/s]",
      { percent: 100, current: 45, total: 100, unit: "it", rate: 4.5, etaMs: 12_000 },
    ],
    [
      " 35%|█| 1.20M/3.40M [00:10<00:12, 1.50MiB/s]",
      { percent: 35, current: 1.2e6, total: 3.4e6, unit: "B", rate: 1.5 * MIB, etaMs: 12_000 },
    ],
    ["50%|##| 1/2 [00:02<?, 2.50s/it]", { ...HALF, unit: "it", rate: 0.4 }],
    ["50%|##| 1/2 [00:02<?, ?s/it]", { ...HALF, unit: "it" }],
    ["1.50kit [00:10, 1.50kit/s]", { current: 1500, unit: "it", rate: 1500 }],
    ["3.00MB [00:10, 1.50MB/s]", { current: 3e6, ...MB_OF_TQDM }],
    ["12 keys [00:10, 1.2 keys/s]", { current: 12, unit: "keys", rate: 1.2 }],
    ["1.2kkeys [00:10, 3.0kkeys/s]", { current: 1200, unit: "keys", rate: 3000 }],
    ["0it [00:00, ?it/s]", { current: 0, unit: "it" }],

    // a percentage
    ["45% of ~80MiB", { percent: 45, total: 80 * MIB, unit: "B" }],
    ["45% of    80 MiB", { percent: 45, total: 80 * MIB, unit: "B" }],
    ["45% of 80MiB/s", { percent: 45, unit: "B", rate: 80 * MIB }],
    ["45% of 10 files", { percent: 45, unit: "" }],
    ["45% 1.2 MiB/sec", { percent: 45, unit: "B", rate: 1_258_291 }],
    ["50% 51/100", { percent: 50, current: 51, total: 100, unit: "" }],
    ["50% 49/100", { percent: 50, current: 49, total: 100, unit: "" }],
    ["50% 52/100", { percent: 50, unit: "" }],
    ["50% 48/100", { percent: 50, unit: "" }],
    ["50% 0/0", { percent: 50, unit: "" }],
    ["101% 45%", { percent: 45, unit: "" }],
    ["disk 45% 50%", { percent: 50, unit: "" }],
    ["45% offline", { percent: 45, unit: "" }],
    ["Functions done: 85%", { percent: 85, unit: "" }],
    ["ftp://x/45% 50%", { percent: 50, unit: "" }],
    // What is measured is looked for close by only.
    [`cpu${" ".repeat(13)}45%`, { percent: 45, unit: "" }],

    // the time left
    ["45% ETA 1h 2m 3s", { percent: 45, unit: "", etaMs: 3_723_000 }],
    ["45% ETA 1:02:03", { percent: 45, unit: "", etaMs: 3_723_000 }],
    ["45% remaining 5 min", { percent: 45, unit: "", etaMs: 300_000 }],
    ["45% time left: 1:00", { percent: 45, unit: "", etaMs: 60_000 }],
    ["45% eta=5s", { percent: 45, unit: "", etaMs: 5000 }],
    ["45% ETA 00:12:34:56", { percent: 45, unit: "" }],
    ["45% ETA 12x", { percent: 45, unit: "" }],
    ["45% ETA 5s2", { percent: 45, unit: "" }],
    ["45% ETA 5 miles", { percent: 45, unit: "" }],
    ["45% theta 5s", { percent: 45, unit: "" }],

    // bytes
    ["1 KB / 2 KB", { percent: 50, current: 1000, total: 2000, unit: "B" }],
    ["1 kib / 2 kib", { percent: 50, current: 1024, total: 2048, unit: "B" }],
    ["1 TB / 2 TB", { percent: 50, current: 1e12, total: 2e12, unit: "B" }],
    ["1 PiB / 2 PiB", { percent: 50, current: 2 ** 50, total: 2 ** 51, unit: "B" }],
    ["1 EB / 2 EB", { percent: 50, current: 1e18, total: 2e18, unit: "B" }],
    ["5 B of 10 B", { percent: 50, current: 5, total: 10, unit: "B" }],
    ["12 Bytes / 24 Bytes", { percent: 50, current: 12, total: 24, unit: "B" }],
    ["1.5/3.0 GB", { percent: 50, current: 1.5e9, total: 3e9, unit: "B" }],

    // counts
    ["[ 3 / 10 ]", { ...TENTHS, unit: "" }],
    ["3/10 files.", { ...TENTHS, unit: "files" }],
    ["3/10  files - x", { ...TENTHS, unit: "files" }],
    ["3/10 files so far", { ...TENTHS, unit: "files" }],
    ["3/10 files (x)", { ...TENTHS, unit: "files" }],
    ["3/10 BYTES", { ...TENTHS, unit: "B" }],
    ["Epoch: 3/10", { ...TENTHS, unit: "epoches" }],
    ["layer #3/10", { ...TENTHS, unit: "layers" }],
    ["0/10 files", { percent: 0, current: 0, total: 10, unit: "files" }],
    ["10/10 files", { percent: 100, current: 10, total: 10, unit: "files" }],
    ["[====] 1/2", HALF],
    ["|====| 1/2", HALF],
    ["[   =]    1/2 x9", HALF],
    ["|██▌ | 1,000/2,000", { percent: 50, current: 1000, total: 2000, unit: "" }],

    ["step 1 of 5", { percent: 20, current: 1, total: 5, unit: "steps" }],
    ["Step 3 of 10: build", { ...TENTHS, unit: "steps" }],
    ["3 of 10 files", { ...TENTHS, unit: "files" }],
    ["12 bytes of 24 bytes", { percent: 50, current: 12, total: 24, unit: "B" }],
    ["12 Bytes of 24 Bytes done", { percent: 50, current: 12, total: 24, unit: "B" }],
    ["Epoch 3/10, loss=0.5", { ...TENTHS, unit: "epoches" }],
    ["(3/10) Installing musl (1.2.5-r0)", { ...TENTHS, unit: "" }],
    ["( 3/10) installing glibc   [######] 100%", { ...TENTHS, unit: "" }],
    ["(3/10): glibc-2.39.rpm   1.2 MB/s | 2.2 MB", { ...TENTHS, unit: "" }],
    ["[ 3 of 10] Compiling Data.Map ( Map.hs, Map.o )", { ...TENTHS, unit: "" }],
    [" 3/10 [====>.........] - ETA: 12s - loss: 0.5", { ...TENTHS, unit: "", etaMs: 12_000 }],
    ["3/10 ━━━━━━━━━━━━━━━━━━━━ 5s 50ms/step", { ...TENTHS, unit: "" }],

    // curl
    [
      " 45 10.0M   45 4608k    0     0  1024k      0  0:00:10  0:00:04  0:00:05 1024k",
      { percent: 45, current: 4.5 * MIB, total: 10 * MIB, unit: "B", rate: MIB, etaMs: 5000 },
    ],
    [
      "  0     0    0 4608k    0     0  1024k      0 --:--:--  0:00:04 --:--:-- 1024k",
      { current: 4.5 * MIB, unit: "B", rate: MIB },
    ],
    [
      " 50 10.0M    0     0   50 5120k      0  1024k  0:00:10  0:00:05 --:--:-- 1024k",
      { percent: 50, current: 5 * MIB, total: 10 * MIB, unit: "B", rate: MIB },
    ],

    // JSON
    ['{"progress": {"unit": 5, "percent": 0}}', { percent: 0, unit: "" }],
    [' {"progress": {"percent": 100}}', { percent: 100, unit: "" }],
    [
      '{"progress": {"current": 10, "total": 10}}',
      { percent: 100, current: 10, total: 10, unit: "" },
    ],
    [
      '{"progress": {"current": 10, "total": -1, "rate": -1, "eta_seconds": -1}}',
      { current: 10, unit: "" },
    ],
    [
      `{"progress": {"percent": 1, "unit": "${"x".repeat(40)}"}}`,
      { percent: 1, unit: "x".repeat(32) },
    ],
    ['{"progress": "45%"}', { percent: 45, unit: "" }],
    ['{"x":1} "progress" 45%', { percent: 45, unit: "" }],
  ])("%s", (line, expected) => {
    expect(parseProgress(line)).toEqual({ ...expected, text: line });
  });

  test.each([
    "Receiving objects: 150% (450/1000)",
    "v1.5it [00:10, 4.5it/s]",
    "45%%",
    "0 B / 0 B",
    "3/10 files.txt",
    "3/10 files left",
    "3/10 filesystem",
    "3/10   files",
    "3/0 files",
    "11/10 files",
    "3/10 files, failed",
    "attempt 3/10 files",
    "Step 3/10.",
    "Step 3/10,000 of it",
    "step 3 of 10.5",
    "3 of 10 tests passed",
    "attempt 3 of 10",
    "(1/2) cup",
    "see (3/10) installing",
    "page 3 of 10",
    "99% tests passed, 1 tests failed out of 100",
    "100% specs pass",
    " 45 4608  12 34",
    "  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0",
    "Step 3/10/2024",
    "misstep 3/10",
    "[....] 1/2",
    "[==] 1/2",
    "[===]     1/2",
    "[===>  ] 45/100/3",
    "[===> ] 45/100.x9",
    "[===] 100/45",
    "[===] 0/0",
    `cpu${" ".repeat(12)}45%`,
    "copy x => y (95%)",
    "rewrite a (95%)",
    "dissimilarity index 5%",
    "Statements   : 85% ( 85/100 )",
    "Branches : 85%",
    "Functions    : 85%",
    "45% of the files",
    "45%) of them",
    "45% used",
    "See HTTPS://x/3/10 files",
    '[{"progress": {"percent": 4}}]',
    '{"progress": {"total": 10}}',
  ])("what only looks like it: %s", (line) => {
    expect(parseProgress(line)).toBeUndefined();
  });
});

describe("what does not", () => {
  test.each([
    "",
    "hello",
    "2024/01/02",
    "2024/01/02 12:34:56 INFO listening",
    "01/02/2024 files",
    "[2024/01/02]",
    "see https://example.com/3/10 for files",
    "https://example.com/a%20b?done=45%25",
    "https://example.com/?width=45%",
    "3/10 tests passed",
    "3/10",
    "1/2 cup",
    "3/10 files failed",
    "7/7 tests",
    "10.0.0.0/8 files",
    "192.168.1.1/24",
    "v1.2/3.4 files",
    "1.2.3/4.5.6",
    "python3.8/3.9",
    "src/3/10 files",
    "HTTP/1.1 200",
    "[10/3]",
    "[0/0]",
    "[3/10",
    "attempt [3/10]",
    "101%",
    "Receiving objects: 145% (450/1000)",
    "1234%",
    "-5%",
    "+5%",
    "10-20%",
    "45%20",
    "%45",
    "100%d",
    "a45%",
    "CPU: 45%",
    "Memory usage is at 12.5MiB / 80MiB, used 45%",
    "Mem 12.5MiB / 80MiB",
    "disk 45% full",
    "5 packets transmitted, 5 received, 0% packet loss",
    "coverage: 85.5% of statements",
    "Lines        : 85.5% ( 85/100 )",
    " rename src/{a => b}/c.ts (95%)",
    "similarity index 95%",
    "45% faster",
    "3 MB/80 MB/s",
    "90MB/80MB",
    "1.2 MB/s",
    '{"progress": 0.45}',
    '{"progress": null}',
    '{"progress": [45]}',
    '{"progress": {"percent": "45"}}',
    '{"progress": {"percent": 145}}',
    '{"progress": {"current": -1}}',
    '{"progress": {"current": 11, "total": 10}}',
    '{"progress": {"percent": 45}',
  ])("%s", (line) => {
    expect(parseProgress(line)).toBeUndefined();
  });
});

/* As the tools have printed it, to a pipe or (-tty) to a terminal. */
describe("recorded output", () => {
  test.each<[string, number, object | undefined]>([
    ["aria2.txt", 5, { total: 2_936_013, unit: "B" }],
    ["cargo.txt", 6, { current: 4, total: 5 }],
    ["cmake-make.txt", 7, { percent: 100 }],
    ["ctest.txt", 0, undefined],
    ["curl.txt", 5, { percent: 100, total: 11_953_766, unit: "B" }],
    ["curl-output.txt", 3, { percent: 100, total: 6_999_040, unit: "B" }],
    ["curl-upload.txt", 2, { percent: 100, total: 2_999_296, unit: "B" }],
    ["curl-no-length.txt", 5, { current: 2_999_296, unit: "B" }],
    ["curl-bar.txt", 18, { percent: 100 }],
    ["git.txt", 20, { percent: 100, current: 1, total: 1, unit: "deltas" }],
    ["ninja.txt", 6, { percent: 100, current: 6, total: 6 }],
    ["npm.txt", 0, undefined],
    ["pip-tty.txt", 14, { percent: 100, total: 12_000_000, unit: "B" }],
    ["pv.txt", 3, { percent: 100, unit: "B" }],
    ["rsync-progress.txt", 6, { percent: 100, unit: "B" }],
    ["tqdm.txt", 29, { percent: 100, current: 4, total: 4, unit: "it" }],
    ["wget-dot.txt", 15, { percent: 100, total: 3_000_000 }],
    ["yt-dlp.txt", 16, { percent: 100, total: 11_995_709, unit: "B" }],
    ["zstd.txt", 5, { percent: 36.85 }],
  ])("of %s: %i lines tell progress", (name, count, last) => {
    const path = join(import.meta.dirname, "../../fixtures/progress", name);
    const lines = readFileSync(path, "utf8").split(/\r\n|\n|\r/);
    const told = lines.flatMap((line) => parseProgress(line) ?? []);
    expect(told).toHaveLength(count);
    if (last) expect(told.at(-1)).toMatchObject(last);
  });
});

test("escape sequences are no part of it", () => {
  expect(parseProgress("\x1b[2K\x1b[1G\x1b[32m4\x1b[1m5\x1b[0m%\x1b[K")).toEqual({
    percent: 45,
    unit: "",
    text: "45%",
  });
});

test("text is cut to 256 bytes, between characters", () => {
  const text = parseProgress(`45% ${"€".repeat(200)}`)?.text ?? "";
  expect(text).toBe(`45% ${"€".repeat(84)}`);
  expect(parseProgress(`45% ${"x".repeat(252)}y`)?.text).toBe(`45% ${"x".repeat(252)}`);
});

test("only the first 4 KiB count", () => {
  expect(parseProgress(`${" ".repeat(4093)}45%`)).toBeDefined();
  expect(parseProgress(`${" ".repeat(4094)}45%`)).toBeUndefined();
});

/** Lines in the forms that are known, of numbers that may be too large, and with all sorts of things around. */
function progressLines(): fc.Arbitrary<string> {
  const number = fc.oneof(
    fc.constantFrom(
      "0",
      "0.0",
      "4.5",
      "10",
      "45",
      "100",
      "145",
      "1,000",
      "1000",
      "45.67",
      "999999",
    ),
    fc.nat(1500).map(String),
  );
  const form = fc.constantFrom<(a: string, b: string, c: string) => string>(
    (a) => `${a}%`,
    (a, b) => `${a}% of ${b}MiB`,
    (a, b) => `[${a}/${b}]`,
    (a, b) => `[====>   ] ${a}/${b}`,
    (a, b) => `${a}/${b} files`,
    (a, b) => `Step ${a}/${b}`,
    (a, b) => `${a} MiB / ${b} MiB`,
    (a, b) => `${a}kB of ${b}GB`,
    (a, b, c) => `${a}%|####  | ${b}/${c} [00:10<00:12, ${a}it/s]`,
    (a, b, c) => `${a}%|####  | ${b}k/${c}M [00:10<?, ${a}s/it]`,
    (a, b) => `${a}it [00:10, ${b}s/it]`,
    (a, b, c) => `Receiving objects: ${a}% (${b}/${c})`,
    (a, b, c) => `{"progress": {"percent": ${a}, "current": ${b}, "total": ${c}, "rate": ${a}}}`,
    (a, b) => `{"progress": {"current": -${a}, "eta_seconds": ${b}}}`,
  );
  const piece = fc.oneof(
    { weight: 2, arbitrary: fc.tuple(form, number, number, number).map(([f, ...n]) => f(...n)) },
    number,
    number.map((n) => `${n} MB/s`),
    number.map((n) => `ETA 1:${n}`),
    number.map((n) => `eta ${n}h 5m`),
    fc.constantFrom(
      "-",
      ":",
      "|",
      "/",
      "%",
      "of",
      "CPU",
      "\x1b[1m",
      "https://a.b/1/2",
      "\u20ac".repeat(100),
    ),
  );
  return fc.array(piece, { minLength: 1, maxLength: 5 }).map((pieces) => pieces.join(" "));
}

test("what comes out is in range, whatever goes in", () => {
  const told = new Set<string>();
  fc.assert(
    fc.property(progressLines(), (line) => {
      const progress = parseProgress(line);
      if (progress === undefined) return;
      told.add(Object.keys(progress).join());
      const { percent, current = 0, total, rate = 0, etaMs = 0, text } = progress;
      expect(percent ?? 0).toBeGreaterThanOrEqual(0);
      expect(percent ?? 0).toBeLessThanOrEqual(100);
      expect(percent ?? progress.current).toBeDefined();
      if (total !== undefined) expect(total).toBeGreaterThan(0);
      for (const value of [current, rate, etaMs]) {
        expect(Number.isFinite(value) && value >= 0).toBe(true);
      }
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(256);
    }),
    { numRuns: 5000 },
  );
  // Most combinations of what can be told have come up.
  expect(told.size).toBeGreaterThan(12);
});

// An expression that is not linear takes minutes for these, and the test times out.
test.each(
  [
    "9",
    "9/",
    "1,",
    "1,111",
    "[",
    "[=",
    "| ",
    "9 ",
    "a ",
    "9%",
    "%|",
    "9%|",
    "9.9",
    "1:",
    "eta 1",
    "Aa a: ",
  ].concat([
    "9 %",
    "http://",
    "[9/",
    "1/1 ",
    "\x1b[",
    "\x1b];a",
    "[====",
    " of ",
    "9 B/",
    "9it [",
    "lines ",
  ]),
)("a line of nothing but %o is read in linear time", (piece) => {
  const filler = piece.repeat(4096 / piece.length);
  for (let i = 0; i < 200; i += 1) {
    parseProgress(`5%x 1/1x ${filler}`);
    parseProgress(`"progress"${filler}`);
  }
});
