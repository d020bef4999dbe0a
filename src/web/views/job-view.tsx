import { useEffect, useState } from "preact/hooks";
import { isTerminal, type Job } from "../../contract/job.js";
import { ProgressBar } from "../parts/progress-bar.js";
import { StatusMark } from "../parts/status-mark.js";
import { withProcesses } from "../state/actions.js";
import type { App } from "../state/app.js";
import type { JobState } from "../state/job-state.js";
import { errorWords } from "../state/notices.js";
import { commandLine, statusWords, visible } from "../state/words.js";
import { Facts } from "./facts.js";
import type { LogPaneProps } from "./log-pane.js";

export function JobView({ app, state }: { readonly app: App; readonly state: JobState }) {
  const job = state.job.value;
  if (!job) return <NoJob app={app} state={state} />;
  return (
    <main class="job">
      <header class="job-head">
        <button type="button" class="plain back" onClick={() => app.router.openList()}>
          ← <span>Jobs</span>
        </button>
        <StatusMark job={job} />
        <h1>
          {job.name !== undefined && <b>{visible(job.name)}</b>}
          <code dir="ltr" title={commandLine(job)}>
            {commandLine(job)}
          </code>
        </h1>
        <JobActions app={app} job={job} />
      </header>
      <p class="verdict">
        <span role="status">{state.isGone.value ? "It was removed." : statusWords(job)}</span>
        {job.status === "running" && <ProgressBar job={job} words />}
      </p>
      <div class="job-body">
        <LateLogPane key={job.id} app={app} state={state} job={job} />
        <Facts app={app} state={state} job={job} />
      </div>
    </main>
  );
}

function JobActions({ app, job }: { readonly app: App; readonly job: Job }) {
  const hasEnded = isTerminal(job);
  return (
    <div class="actions" role="toolbar" aria-label="Job">
      {!hasEnded && (
        <>
          <button type="button" class="danger" onClick={() => app.ask("cancel", [job])}>
            Cancel… <kbd>c</kbd>
          </button>
          <button type="button" onClick={() => app.ask("signal", [job])}>
            Signal…
          </button>
        </>
      )}
      {hasEnded && job.remainingProcesses !== undefined && (
        <button type="button" class="danger" onClick={() => app.ask("cancel", [job])}>
          End what is left…
        </button>
      )}
      <button type="button" onClick={() => app.ask("restart", [job])}>
        {withProcesses([job]).length === 0 ? "Start again" : "Restart…"}
      </button>
      <button type="button" onClick={() => app.router.openStart({ like: job.id })}>
        Start like this…
      </button>
      {hasEnded && (
        <button type="button" class="danger" onClick={() => app.ask("remove", [job])}>
          Remove…
        </button>
      )}
    </div>
  );
}

/** The terminal is loaded when a job is opened: it is more than all the rest of the page. */
function LateLogPane(props: LogPaneProps) {
  const [Pane, setPane] = useState<(props: LogPaneProps) => preact.JSX.Element>();
  const [error, setError] = useState<unknown>();
  useEffect(() => {
    import("./log-pane.js").then(
      ({ default: pane }) => setPane(() => pane),
      (error: unknown) => setError(error),
    );
  }, []);
  if (error !== undefined) {
    return (
      <section class="log">
        <p class="failure" role="alert">
          The terminal could not be loaded: {errorWords(error).text}. Reload the page; the server
          may have a newer one.
        </p>
      </section>
    );
  }
  return Pane ? <Pane {...props} /> : <section class="log" id="output" aria-busy="true" />;
}

function NoJob({ app, state }: { readonly app: App; readonly state: JobState }) {
  const error = state.error.value;
  if (!error && !state.isGone.value) return <p class="loading">Loading…</p>;
  return (
    <main class="empty">
      <h2>{state.isGone.value ? "There is no such job" : "The job cannot be shown"}</h2>
      <p>{error ? errorWords(error).text : `It may have been removed: ${visible(state.id)}`}</p>
      <button type="button" class="primary" onClick={() => app.router.openList()}>
        Show all jobs
      </button>
    </main>
  );
}
