import { useEffect, useState } from "preact/hooks";
import { theme } from "../parts/theme.js";
import type { UsageChartProps } from "../parts/usage-chart.js";
import type { JobState } from "../state/job-state.js";
import { bytesText } from "../state/words.js";

type Chart = (props: UsageChartProps) => preact.JSX.Element;

/** What a running job uses, as far back as this page has looked. */
export function UsageView({ state }: { readonly state: JobState }) {
  const [Chart, setChart] = useState<Chart>();
  useEffect(() => {
    // Without it, the numbers are there all the same.
    import("../parts/usage-chart.js")
      .then(({ default: chart }) => setChart(() => chart))
      .catch(() => {});
  }, []);
  const samples = state.usage.value;
  if (!Chart || samples.length < 2) return null;
  const times = samples.map(({ timeMs }) => timeMs);
  const isDark = theme.isDark.value;
  return (
    <div class="charts">
      <Chart
        title="CPU"
        times={times}
        values={samples.map(({ cpuShare }) => cpuShare ?? null)}
        format={percentText}
        isDark={isDark}
      />
      <Chart
        title="Memory"
        times={times}
        values={samples.map(({ memoryBytes }) => memoryBytes ?? null)}
        format={bytesText}
        isDark={isDark}
      />
    </div>
  );
}

function percentText(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)}%`;
}
