import { describe, expect, test } from "vitest";
import { formatLineChart, type LineChart } from "../../../bench/chart.js";

const CHART: LineChart = {
  title: "Growth <of> a & b",
  xTitle: "jobs",
  yTitle: "ms",
  yScale: "linear",
  series: [
    {
      name: "a",
      points: [
        [10, 1],
        [1000, 4],
      ],
    },
  ],
  footer: "a machine, 2026-01-02",
};

/** The dots' places, in their order. */
function dots(svg: string): { x: number; y: number }[] {
  return [...svg.matchAll(/<circle[^>]* cx="([\d.]+)" cy="([\d.]+)"/g)].map(([, x, y]) => ({
    x: Number(x),
    y: Number(y),
  }));
}

/** Texts with where they are. */
function texts(svg: string): { y: number; text: string }[] {
  return [...svg.matchAll(/<text x="[\d.]+" y="([\d.]+)"[^>]*>([^<]*)</g)].map(([, y, text]) => ({
    y: Number(y),
    text: text ?? "",
  }));
}

describe("a line chart", () => {
  test("puts equal factors at equal distances on the x axis", () => {
    const points = [10, 100, 1000].map((x) => [x, 1] as const);
    const [first, second, third] = dots(
      formatLineChart({ ...CHART, series: [{ name: "a", points }] }),
    );
    expect((second?.x ?? 0) - (first?.x ?? 0)).toBeCloseTo((third?.x ?? 0) - (second?.x ?? 0), 0);
  });

  test("begins a linear y axis at 0 and reaches the largest value", () => {
    const svg = formatLineChart(CHART);
    const labels = texts(svg).map(({ text }) => text);
    expect(labels).toEqual(expect.arrayContaining(["0", "1", "2", "3", "4"]));
    const zero = (texts(svg).find(({ text }) => text === "0")?.y ?? 0) - 4;
    const [one, four] = dots(svg);
    expect(zero - (four?.y ?? 0)).toBeCloseTo(4 * (zero - (one?.y ?? 0)), 0);
  });

  test("puts equal factors at equal distances on a logarithmic y axis, between powers of ten", () => {
    const points = [2, 20, 200].map((y, n) => [10 ** (n + 1), y] as const);
    const svg = formatLineChart({ ...CHART, yScale: "log", series: [{ name: "a", points }] });
    const [first, second, third] = dots(svg);
    expect((first?.y ?? 0) - (second?.y ?? 0)).toBeCloseTo((second?.y ?? 0) - (third?.y ?? 0), 0);
    expect(texts(svg).map(({ text }) => text)).toEqual(expect.arrayContaining(["1", "1,000"]));
  });

  test("keeps every point within the plot where values are all the same or fractions", () => {
    for (const yScale of ["linear", "log"] as const) {
      for (const value of [0.003, 1, 1000, 12_345]) {
        const points = [10, 100_000].map((x) => [x, value] as const);
        const svg = formatLineChart({ ...CHART, yScale, series: [{ name: "a", points }] });
        expect(svg).not.toContain("NaN");
        for (const { x, y } of dots(svg)) {
          expect(x).toBeGreaterThanOrEqual(64);
          expect(x).toBeLessThanOrEqual(560);
          expect(y).toBeGreaterThanOrEqual(64);
          expect(y).toBeLessThanOrEqual(316);
        }
      }
    }
  });

  test("names each line with its last value, and keeps names apart", () => {
    const at = (name: string, value: number) => ({ name, points: [[10, value] as const] });
    const series = [at("a", 1), at("b", 1), at("c", 0.99)];
    const names = texts(formatLineChart({ ...CHART, series })).filter(({ text }) =>
      /^[abc]: /.test(text),
    );
    expect(names.map(({ text }) => text)).toEqual(["a: 1", "b: 1", "c: 0.99"]);
    const ys = names.map(({ y }) => y);
    expect((ys[1] ?? 0) - (ys[0] ?? 0)).toBeGreaterThanOrEqual(12);
    expect((ys[2] ?? 0) - (ys[1] ?? 0)).toBeGreaterThanOrEqual(12);
  });

  test("escapes what it is told to write, and says on what it was measured", () => {
    const svg = formatLineChart(CHART);
    expect(svg).toContain("<title>Growth &lt;of&gt; a &amp; b</title>");
    expect(svg).toContain(">a machine, 2026-01-02</text>");
    expect(svg).not.toContain("<of>");
  });

  test("follows the reader's light or dark mode", () => {
    expect(formatLineChart(CHART)).toContain("@media (prefers-color-scheme: dark)");
  });
});
