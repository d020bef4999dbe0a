// Makes docs/pictures/session.svg: a real session in a real terminal, recorded and drawn.
// npm run build && node docs/pictures/record-session.js
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import xterm from "@xterm/headless";

const COLUMNS = 92;
const ROWS = 17;
const FONT_PX = 14;
const CELL_PX = 8.43;
const LINE_PX = 19;
const MARGIN_PX = 14;
/** Changes closer than this are one frame. */
const FRAME_MS = 120;
/** How long the last frame stays before it begins anew. */
const END_MS = 5000;

/** What is typed, and how long it is watched after the prompt is back (or, with `keys`, before they are pressed). */
const STEPS = [
  {
    type: `procman run -- sh -c 'for i in 1 2 3 4 5; do echo "step $i of 5"; sleep 0.6; done'`,
    restMs: 1200,
  },
  { type: "clear" },
  { type: "# a job belongs neither to the terminal nor to the server" },
  {
    type: `id=$(procman run -d -- sh -c 'for i in 1 2 3 4; do echo "line $i"; sleep 2; done; exit 7')`,
  },
  { type: `procman run -d -- sleep 600`, restMs: 300 },
  { type: "procman ls", restMs: 1500 },
  { type: "kill -9 $(head -n 1 ~/.cache/procman/lock.*)", restMs: 800 },
  { type: "procman wait $id", restMs: 1000 },
  { type: "procman attach $id", restMs: 2500 },
  { type: "clear" },
  {
    type: `for s in 1 0.5 0.3; do procman run -d -- sh -c "for i in \\$(seq 40); do echo step \\$i/40; sleep $s; done"; done`,
    restMs: 200,
  },
  { type: "procman ls --watch", keys: "\u0003", restMs: 6000 },
];
const PROMPT = "$ ";

const home = mkdtempSync(join(tmpdir(), "procman-session-"));
try {
  const frames = await record();
  writeFileSync(fileURLToPath(new URL("session.svg", import.meta.url)), draw(frames));
} finally {
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}

/** Plays the session; returns the screens that were seen, and when. */
async function record() {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  symlinkSync(join(root, "dist/bin/procman.cjs"), join(home, "procman"));
  const shell = spawn(
    "script",
    ["-qfec", `stty cols ${COLUMNS} rows ${ROWS}; exec bash --norc --noprofile -i`, "/dev/null"],
    {
      cwd: home,
      env: {
        HOME: home,
        PATH: `${home}:${process.env["PATH"]}`,
        PS1: PROMPT,
        TERM: "xterm-256color",
        PROCMAN_LISTEN: "none",
        LANG: "C.UTF-8",
      },
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  const terminal = new xterm.Terminal({ cols: COLUMNS, rows: ROWS, allowProposedApi: true });
  shell.stdout.on("data", (data) => terminal.write(data));
  const started = performance.now();
  const frames = [];
  const take = () => {
    const screen = screenOf(terminal);
    if (frames.at(-1)?.key !== screen.key) {
      frames.push({ ...screen, atMs: performance.now() - started });
    }
  };
  const camera = setInterval(take, FRAME_MS);
  const promptIsBack = async () => {
    while (!screenOf(terminal).lastLine.endsWith(PROMPT)) await sleep(20);
  };
  await promptIsBack();
  for (const { type, keys, restMs = 0 } of STEPS) {
    for (const letters of type.match(/.{1,6}/g) ?? []) {
      shell.stdin.write(letters);
      await sleep(60);
    }
    shell.stdin.write("\n");
    await sleep(100);
    if (keys) {
      await sleep(restMs);
      shell.stdin.write(keys);
      break;
    }
    await promptIsBack();
    await sleep(restMs);
  }
  take();
  clearInterval(camera);
  await sleep(500);
  const farewell =
    'procman cancel --grace 0 $(procman ls --status running --json | grep -o \'^{"id":"[^"]*\' | cut -d\'"\' -f4) >/dev/null; procman stop; exit\n';
  shell.stdin.end(farewell);
  await new Promise((resolve) => {
    shell.once("close", resolve);
  });
  return frames;
}

/** What a terminal shows: runs of letters of the same look, row by row. */
function screenOf(terminal) {
  const { active } = terminal.buffer;
  const rows = [];
  let lastLine = "";
  for (let y = 0; y < terminal.rows; y++) {
    const line = active.getLine(active.baseY + y);
    if (y === active.cursorY) lastLine = line.translateToString(false, 0, active.cursorX);
    const runs = [];
    for (let x = 0; x < terminal.cols; x++) {
      const cell = line.getCell(x);
      const look = [
        cell.isFgDefault() ? "" : cell.getFgColor(),
        cell.isBold() ? "b" : "",
        cell.isDim() ? "d" : "",
        cell.isInverse() ? "i" : "",
      ].join("/");
      const text = cell.getChars() || " ";
      const last = runs.at(-1);
      if (last?.look === look) last.text += text;
      else runs.push({ look, text, column: x });
    }
    rows.push(runs.filter((run) => run.text.trim() !== "" || run.look.endsWith("i")));
  }
  return { rows, lastLine, key: JSON.stringify(rows) };
}

/** The frames as one animated picture, a strip that moves from one to the next. */
function draw(frames) {
  const [{ atMs: beginMs }] = frames;
  const endMs = frames.at(-1).atMs + END_MS;
  const widthPx = Math.ceil(COLUMNS * CELL_PX + 2 * MARGIN_PX);
  const heightPx = ROWS * LINE_PX + 2 * MARGIN_PX;
  const rowIds = new Map();
  const idOf = (runs) => {
    const svg = runs.map(drawRun).join("");
    if (!rowIds.has(svg)) rowIds.set(svg, `r${rowIds.size}`);
    return rowIds.get(svg);
  };
  const strip = frames.flatMap(({ rows }, index) =>
    rows.flatMap((runs, row) =>
      runs.length === 0
        ? []
        : [`<use href="#${idOf(runs)}" y="${index * heightPx + row * LINE_PX}"/>`],
    ),
  );
  const keyframes = frames.map(({ atMs }, index) => {
    const percent = (((atMs - beginMs) / (endMs - beginMs)) * 100).toFixed(2);
    return `${percent}%{transform:translateY(${-index * heightPx}px)}`;
  });
  const seconds = ((endMs - beginMs) / 1000).toFixed(1);
  const last = -(frames.length - 1) * heightPx;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${widthPx}" height="${heightPx}" viewBox="0 0 ${widthPx} ${heightPx}">
<title>A session with procman: a job, a server that is killed, jobs watched live</title>
<style>
text{font:${FONT_PX}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;fill:#d8dee9;white-space:pre}
#strip{animation:play ${seconds}s steps(1,end) infinite}
@media (prefers-reduced-motion){#strip{animation:none;transform:translateY(${last}px)}}
@keyframes play{${keyframes.join("")}100%{transform:translateY(${last}px)}}
</style>
<defs>${[...rowIds].map(([svg, id]) => `<g id="${id}">${svg}</g>`).join("\n")}</defs>
<rect width="100%" height="100%" rx="8" fill="#1e222a"/>
<svg x="${MARGIN_PX}" y="${MARGIN_PX}" width="${widthPx - 2 * MARGIN_PX}" height="${ROWS * LINE_PX}"><g id="strip">
${strip.join("\n")}
</g></svg>
</svg>
`;
}

function drawRun({ look, text, column }) {
  const [color, bold, dim, inverse] = look.split("/");
  const palette = [
    "#4c566a",
    "#e06c75",
    "#98c379",
    "#e5c07b",
    "#61afef",
    "#c678dd",
    "#56b6c2",
    "#d8dee9",
  ];
  const style = [
    color === "" ? "" : ` fill="${palette[Number(color) % 8]}"`,
    bold ? ' font-weight="bold"' : "",
    dim ? ' opacity="0.65"' : "",
    inverse ? ' text-decoration="underline"' : "",
  ].join("");
  const x = (column * CELL_PX).toFixed(1);
  const widthPx = (text.length * CELL_PX).toFixed(1);
  const escaped = text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return `<text x="${x}" y="${FONT_PX}" textLength="${widthPx}" lengthAdjust="spacingAndGlyphs"${style}>${escaped}</text>`;
}
