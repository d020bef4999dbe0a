import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { useEffect, useRef } from "preact/hooks";

const HEIGHT = 74;

export interface UsageChartProps {
  readonly title: string;
  readonly times: readonly number[];
  readonly values: readonly (number | null)[];
  readonly format: (value: number) => string;
  readonly isDark: boolean;
}

/** A small chart of what a job has used. */
export default function UsageChart({ title, times, values, format, isDark }: UsageChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | undefined>(undefined);
  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const [line, grid, text] = isDark
      ? ["#79b0ff", "#2b2f37", "#979fab"]
      : ["#1f6feb", "#e3e2de", "#5f656d"];
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    const font = "10px system-ui, sans-serif";
    chart.current = new uPlot(
      {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        scales: { y: { range: (_, __, max) => [0, max > 0 ? max * 1.15 : 1] } },
        axes: [
          { ...axis, font, size: 18, space: 60 },
          { ...axis, font, size: 48, space: 24, values: (_, all) => all.map(format) },
        ],
        series: [{}, { stroke: line, fill: `${line}22`, width: 1.25, points: { show: false } }],
      },
      [[], []],
      element,
    );
    const resizes = new ResizeObserver(() =>
      chart.current?.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    resizes.observe(element);
    return () => {
      resizes.disconnect();
      chart.current?.destroy();
    };
  }, [format, isDark]);
  useEffect(() => {
    chart.current?.setData([times.map((ms) => ms / 1000), [...values]]);
  }, [times, values, format, isDark]);
  const last = values.at(-1);
  return (
    <figure class="chart">
      <figcaption>
        {title} <b>{last === undefined || last === null ? "" : format(last)}</b>
      </figcaption>
      <div ref={host} role="img" aria-label={`${title} over time`} />
    </figure>
  );
}
