import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Job, OnEnd } from "../../contract/job.js";
import { shellWord } from "../../platform/shell-word.js";
import type { App } from "../state/app.js";
import type { JobState } from "../state/job-state.js";
import {
  cpuTimeFact,
  diskFact,
  exitFact,
  leaseFact,
  limitsFact,
  memoryFact,
  onEndResultFact,
  outputFact,
  softLimitsFact,
} from "../state/fact-words.js";
import { errorWords } from "../state/notices.js";
import {
  commandLine,
  durationText,
  processCount,
  runTimeMs,
  visible,
  visibleLines,
} from "../state/words.js";
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
        <Fact name="Exit code">{exitFact(job)}</Fact>
        <Fact name="Left behind">
          {job.remainingProcesses && (
            <>
              {processCount(job.remainingProcesses)}{" "}
              <button type="button" onClick={() => app.ask("cancel", [job])}>
                End…
              </button>
            </>
          )}
        </Fact>
        <Fact name="Lease">
          {job.leaseMs !== undefined && (
            <>
              {leaseFact(job, app.nowMs.value)}{" "}
              {job.leaseExpireTime && (
                <button type="button" onClick={() => void app.renewLease(state)}>
                  Renew
                </button>
              )}
            </>
          )}
        </Fact>
        <Fact name="Started">
          {"startedTime" in job && job.startedTime ? timeText(job.startedTime) : undefined}
        </Fact>
        <Fact name="Ended">{"completedTime" in job ? timeText(job.completedTime) : undefined}</Fact>
        <Fact name="CPU time">{cpuTimeFact(job)}</Fact>
        <Fact name="Memory">{memoryFact(job)}</Fact>
        <Fact name="Processes">{usage?.processes}</Fact>
        <Fact name="Disk">{diskFact(job)}</Fact>
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
        <Fact name="Limits">{limitsFact(job)}</Fact>
        <Fact name="ulimit">{softLimitsFact(job)}</Fact>
        <Fact name="Output">{outputFact(job)}</Fact>
        <Fact name="Input">{job.stdin && "what is sent to it"}</Fact>
        <Fact name="At its end">
          {job.endRemaining && "what the command leaves behind is ended"}
        </Fact>
        <Fact name="Then runs">{job.onEnd && <OnEndView job={job} onEnd={job.onEnd} />}</Fact>
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

/** What is run at the job's end, and what became of that. */
function OnEndView({ job, onEnd }: { readonly job: Job; readonly onEnd: OnEnd }) {
  const { onEndResult: result } = job;
  return (
    <>
      <code dir="ltr">{commandLine(onEnd)}</code>, for {durationText(onEnd.timeoutMs)} at most
      {result && <p>{onEndResultFact(result)}</p>}
      {result && result.output !== "" && (
        <pre class="quoted" tabIndex={0}>
          {visibleLines(result.output)}
        </pre>
      )}
    </>
  );
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
