import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface LineChart {
  readonly title: string;
  readonly xTitle: string;
  /** What is measured, with its unit. */
  readonly yTitle: string;
  /** "log" where growth spans powers of ten; "linear" begins at 0. */
  readonly yScale: "linear" | "log";
  /** At most three. */
  readonly series: readonly Series[];
  /** On what and when it was measured. */
  readonly footer: string;
}

export interface Series {
  readonly name: string;
  /** Both coordinates are positive. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 720;
const HEIGHT = 400;
const PLOT = { left: 64, right: 560, top: 64, bottom: 316 };
/** Least distance between the names at the lines' ends. */
const NAME_DISTANCE = 16;
const MAX_LINEAR_TICKS = 6;

const STYLE = `
svg { font: 12px system-ui, sans-serif; }
.back { fill: #ffffff; } .text { fill: #24292f; } .faint { fill: #59636e; }
.grid { stroke: #d8dee4; } .s0 { --c: #0b62c4; } .s1 { --c: #b8500a; } .s2 { --c: #1a7f4b; }
.line { stroke: var(--c); stroke-width: 2; fill: none; } .dot, .name { fill: var(--c); }
.title { font-size: 15px; font-weight: 600; }
@media (prefers-color-scheme: dark) {
.back { fill: #0d1117; } .text { fill: #e6edf3; } .faint { fill: #9198a1; }
.grid { stroke: #30363d; } .s0 { --c: #6cb0ff; } .s1 { --c: #f0a15e; } .s2 { --c: #56d08b; }
}`;

/** Writes DIR/NAME.svg, and its directory where that is missing. */
export function writeChart(dir: string, name: string, chart: LineChart): void {
  mkdirSync(dir, { recursive: true });
  const path = join(dir, `${name}.svg`);
  writeFileSync(path, formatLineChart(chart));
  console.log(`wrote ${path}`);
}

/** Draws lines over a logarithmic x axis, as an SVG that follows the reader's light or dark mode. */
export function formatLineChart(chart: LineChart): string {
  const points = chart.series.flatMap((series) => series.points);
  const xTicks = powersOfTen(points.map(([x]) => x));
  const yTicks = (chart.yScale === "log" ? powersOfTen : linearTicks)(points.map(([, y]) => y));
  const x = scale(xTicks, Math.log10, PLOT.left, PLOT.right);
  const value = chart.yScale === "log" ? Math.log10 : (y: number) => y;
  const y = scale(yTicks, value, PLOT.bottom, PLOT.top);
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">`,
    `<title>${escapeXml(chart.title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="back" width="${WIDTH}" height="${HEIGHT}"/>`,
    text(16, 26, "text title", "start", chart.title),
    text(16, 46, "faint", "start", chart.yTitle),
    ...yTicks.flatMap((tick) => [
      `<path class="grid" d="M${PLOT.left} ${y(tick)}H${PLOT.right}"/>`,
      text(PLOT.left - 8, y(tick) + 4, "faint", "end", formatNumber(tick)),
    ]),
    ...xTicks.map((tick) => text(x(tick), PLOT.bottom + 20, "faint", "middle", formatNumber(tick))),
    text((PLOT.left + PLOT.right) / 2, PLOT.bottom + 42, "faint", "middle", chart.xTitle),
    ...chart.series.flatMap((series, index) => drawSeries(series, index, x, y)),
    ...drawNames(chart.series, y),
    text(16, HEIGHT - 14, "faint", "start", chart.footer),
    "</svg>",
  ].join("\n")}\n`;
}

type Scale = (value: number) => number;

function scale(ticks: readonly number[], value: Scale, from: number, to: number): Scale {
  const low = value(ticks[0] ?? 1);
  const high = value(ticks.at(-1) ?? 1);
  const share = (each: number) => (high === low ? 0.5 : (value(each) - low) / (high - low));
  return (each) => Math.round((from + share(each) * (to - from)) * 10) / 10;
}

/** The powers of ten around the values. */
function powersOfTen(values: readonly number[]): readonly number[] {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.ceil(Math.log10(Math.max(...values)));
  return Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
}

/** Round numbers from 0 up to the largest value. */
function linearTicks(values: readonly number[]): readonly number[] {
  const max = Math.max(...values);
  const power = 10 ** Math.floor(Math.log10(max / MAX_LINEAR_TICKS));
  const step =
    [1, 2, 5, 10].map((each) => each * power).find((each) => max / each <= MAX_LINEAR_TICKS) ?? max;
  return Array.from({ length: Math.ceil(max / step) + 1 }, (_, index) => index * step);
}

function drawSeries({ name, points }: Series, index: number, x: Scale, y: Scale): string[] {
  const path = points.map(([px, py]) => `${x(px)} ${y(py)}`).join("L");
  return [
    `<g class="s${index}"><path class="line" d="M${path}"/>`,
    ...points.map(
      ([px, py]) =>
        `<circle class="dot" cx="${x(px)}" cy="${y(py)}" r="3.5"><title>${escapeXml(
          `${name}, ${formatNumber(px)}: ${formatNumber(py)}`,
        )}</title></circle>`,
    ),
    "</g>",
  ];
}

/** Each beside its line's end, with its last value; those that would overlap are moved down. */
function drawNames(series: readonly Series[], y: Scale): string[] {
  const ends = series
    .map(({ name, points }, index) => ({ name, index, value: points.at(-1)?.[1] ?? 0 }))
    .sort((a, b) => b.value - a.value);
  let lowest = Number.NEGATIVE_INFINITY;
  return ends.map(({ name, index, value }) => {
    lowest = Math.max(y(value) + 4, lowest + NAME_DISTANCE);
    const label = `${name}: ${formatNumber(value)}`;
    return `<g class="s${index}">${text(PLOT.right + 10, lowest, "name", "start", label)}</g>`;
  });
}

function text(x: number, y: number, style: string, anchor: string, content: string): string {
  return `<text x="${x}" y="${y}" class="${style}" text-anchor="${anchor}">${escapeXml(content)}</text>`;
}

/** With three digits, and not fewer than it has before the point. */
function formatNumber(value: number): string {
  const digits = Math.max(3, Math.ceil(Math.log10(Math.abs(value) + 1)));
  return value.toLocaleString("en-US", { maximumSignificantDigits: digits });
}

function escapeXml(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
