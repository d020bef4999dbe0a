import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { type Job, NO_LIMIT } from "../../contract/job.js";
import { shellWord } from "../../platform/shell-word.js";
import type { App } from "../state/app.js";
import type { JobState } from "../state/job-state.js";
import { errorWords } from "../state/notices.js";
import { bytesText, durationText, exitText, runTimeMs, visible } from "../state/words.js";
import { UsageView } from "./usage-view.js";

export interface FactsProps {
  readonly app: App;
  readonly state: JobState;
  readonly job: Job;
}

/** What is known of a job, beside its output. */
export function Facts({ app, state, job }: FactsProps) {
  const time = runTimeMs(job, app.nowMs.value);
  const { usage } = job;
  return (
    <aside class="facts" aria-label="Facts">
      <dl>
        <Fact name="Run time">{time === undefined ? undefined : durationText(time)}</Fact>
        <Fact name="Exit code">{exitText(job) || undefined}</Fact>
        <Fact name="Started">
          {"startedTime" in job && job.startedTime ? timeText(job.startedTime) : undefined}
        </Fact>
        <Fact name="Ended">{"completedTime" in job ? timeText(job.completedTime) : undefined}</Fact>
        <Fact name="CPU time">{cpuTimeText(job)}</Fact>
        <Fact name="Memory">{memoryText(job)}</Fact>
        <Fact name="Processes">{usage?.processes}</Fact>
        <Fact name="Disk">
          {usage?.readBytes || usage?.writtenBytes
            ? `${bytesText(usage.readBytes ?? 0)} read, ${bytesText(usage.writtenBytes ?? 0)} written`
            : undefined}
        </Fact>
        <Fact name="Last output">
          {usage?.lastOutputTime ? timeText(usage.lastOutputTime) : undefined}
        </Fact>
        <Fact name="Directory">
          <code dir="ltr">{visible(shellWord(job.workDir))}</code>
        </Fact>
        <Fact name="Process">{"pid" in job && job.pid ? `pid ${job.pid}` : undefined}</Fact>
        <Fact name="Held by">{"containment" in job ? job.containment : undefined}</Fact>
        <Fact name="Labels">
          {Object.entries(job.labels).length > 0
            ? Object.entries(job.labels).map(([key, value]) => (
                <span key={key} class="label">
                  <bdi>{visible(`${key}=${value}`)}</bdi>
                </span>
              ))
            : undefined}
        </Fact>
        <Fact name="Last signal">
          {job.lastSignal &&
            `${visible(job.lastSignal.name)}, ${timeText(job.lastSignal.sentTime)}`}
        </Fact>
        <Fact name="Limits">{limitsText(job)}</Fact>
        <Fact name="ulimit">{softLimitsText(job)}</Fact>
        <Fact name="Output">{outputText(job)}</Fact>
        <Fact name="Id">
          <code>{visible(job.id)}</code>
        </Fact>
        <Fact name="In place of">
          {job.previousId && (
            <button
              type="button"
              class="link"
              onClick={() => app.router.openJob(job.previousId ?? "")}
            >
              {visible(job.previousId)}
            </button>
          )}
        </Fact>
      </dl>
      {job.status === "running" && <UsageView state={state} />}
      <Environment app={app} job={job} />
    </aside>
  );
}

function cpuTimeText(job: Job): string | undefined {
  const ms = job.usage?.cpuTimeMs ?? ("cpuTimeMs" in job ? job.cpuTimeMs : undefined);
  return ms === undefined ? undefined : durationText(ms);
}

function memoryText({ usage }: Job): string | undefined {
  const peak = usage?.memoryPeakBytes === undefined ? undefined : bytesText(usage.memoryPeakBytes);
  if (usage?.memoryBytes === undefined) return peak && `${peak} at most`;
  return `${bytesText(usage.memoryBytes)}${peak ? `, ${peak} at most` : ""}`;
}

function Fact({
  name,
  children,
}: {
  readonly name: string;
  readonly children?: ComponentChildren;
}) {
  if (children === undefined || children === "" || children === false) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** Values may be secrets: they are asked for, and shown, only when the user wants them. */
function Environment({ app, job }: { readonly app: App; readonly job: Job }) {
  const [values, setValues] = useState<Readonly<Record<string, string>>>();
  const [error, setError] = useState<unknown>();
  const names = Object.keys(job.env);
  if (names.length === 0 && !job.clearEnv) return null;
  const show = async () => {
    try {
      setValues((await app.procman.get(job.id, { includeEnv: true })).env);
    } catch (error) {
      setError(error);
    }
  };
  return (
    <details class="environment">
      <summary>
        Environment{" "}
        <span class="muted">
          {job.clearEnv ? "nothing but " : "added: "}
          {names.length}
        </span>
      </summary>
      {values ? (
        <ul>
          {Object.entries(values).map(([name, value]) => (
            <li key={name}>
              <code dir="ltr">
                {visible(name)}={visible(value)}
              </code>
            </li>
          ))}
        </ul>
      ) : (
        <>
          <ul>
            {names.map((name) => (
              <li key={name}>
                <code dir="ltr">{visible(name)}=…</code>
              </li>
            ))}
          </ul>
          <button type="button" onClick={() => void show()}>
            Show the values
          </button>
        </>
      )}
      {error !== undefined && <p class="failure">{errorWords(error).text}</p>}
    </details>
  );
}

function timeText(time: Date): string {
  const isToday = time.toDateString() === new Date().toDateString();
  return isToday ? time.toLocaleTimeString("en-GB") : time.toLocaleString("en-GB");
}

function limitsText(job: Job): string | undefined {
  const parts = [
    job.timeoutMs === undefined ? undefined : `${durationText(job.timeoutMs)} of time`,
    job.logLimitBytes === undefined ? undefined : `${bytesText(job.logLimitBytes)} of each log`,
    job.nice === undefined || job.nice === 0 ? undefined : `nice ${job.nice}`,
    job.umask === undefined ? undefined : `umask ${job.umask.toString(8).padStart(3, "0")}`,
  ].filter((part) => part !== undefined);
  return parts.length === 0 ? undefined : parts.join(", ");
}

/** Those that limit something: the command line hands on all that a shell has. */
function softLimitsText({ softLimits = {} }: Job): string | undefined {
  const limits = Object.entries(softLimits).filter(([, limit]) => limit !== NO_LIMIT);
  if (limits.length === 0) return undefined;
  return limits.map(([name, limit]) => `${name} ${limit}`).join(", ");
}

function outputText(job: Job): string {
  const log = (stream: "stdout" | "stderr") => {
    const bytes = stream === "stdout" ? job.stdoutBytes : job.stderrBytes;
    const first = stream === "stdout" ? job.stdoutFirstOffset : job.stderrFirstOffset;
    const kept = first === 0 ? "" : `, the last ${bytesText(bytes - first)} are kept`;
    const missing = job.missingLogs?.includes(stream) ? ", its log was deleted" : "";
    return `${bytesText(bytes)}${kept}${missing}`;
  };
  if (job.pty) return `terminal ${log("stdout")}`;
  if (job.mergeOutput) return `stdout with stderr ${log("stdout")}`;
  return `stdout ${log("stdout")}; stderr ${log("stderr")}`;
}
