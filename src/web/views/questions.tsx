import { useState } from "preact/hooks";
import type { Job } from "../../contract/job.js";
import { Dialog } from "../parts/dialog.js";
import { running } from "../state/actions.js";
import type { App } from "../state/app.js";
import { commandLine } from "../state/words.js";

const GRACE_PERIODS_S = [0, 1, 5, 30, 120];
const SIGNALS = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGSTOP",
  "SIGCONT",
  "SIGQUIT",
  "SIGKILL",
];
const AGES: readonly [label: string, ms: number][] = [
  ["an hour", 3_600_000],
  ["a day", 86_400_000],
  ["a week", 7 * 86_400_000],
  ["no time at all: every job that has ended", 0],
];

/** Asks before something is done that cannot be taken back. */
export function Questions({ app }: { readonly app: App }) {
  const question = app.question.value;
  const close = () => {
    app.question.value = undefined;
  };
  switch (question?.type) {
    case undefined:
      return null;
    case "cancel":
      return <CancelDialog app={app} jobs={running(question.jobs)} onClose={close} />;
    case "signal":
      return <SignalDialog app={app} jobs={running(question.jobs)} onClose={close} />;
    case "restart":
      return <RestartDialog app={app} jobs={question.jobs} onClose={close} />;
    case "remove":
      return <RemoveDialog app={app} jobs={question.jobs} onClose={close} />;
    case "cleanup":
      return <CleanupDialog app={app} onClose={close} />;
    case "keys":
      return <KeysDialog onClose={close} />;
  }
}

interface JobsDialogProps {
  readonly app: App;
  readonly jobs: readonly Job[];
  readonly onClose: () => void;
}

function CancelDialog({ app, jobs, onClose }: JobsDialogProps) {
  const [graceS, setGraceS] = useState(5);
  return (
    <Dialog title={`Cancel ${what(jobs)}?`} onClose={onClose}>
      <JobNames jobs={jobs} />
      <label class="field">
        Time to end by itself (SIGTERM), before it is killed (SIGKILL)
        <select value={graceS} onChange={(event) => setGraceS(Number(event.currentTarget.value))}>
          {GRACE_PERIODS_S.map((seconds) => (
            <option key={seconds} value={seconds}>
              {seconds === 0 ? "none: kill it at once" : `${seconds} s`}
            </option>
          ))}
        </select>
      </label>
      <Buttons
        verb={`Cancel ${what(jobs)}`}
        dismiss="Let it run"
        onClose={onClose}
        onConfirm={() => void app.actions.cancel(idsOf(jobs), graceS * 1000)}
      />
    </Dialog>
  );
}

function SignalDialog({ app, jobs, onClose }: JobsDialogProps) {
  const [name, setName] = useState("SIGINT");
  return (
    <Dialog title={`Send a signal to ${what(jobs)}`} onClose={onClose}>
      <JobNames jobs={jobs} />
      <label class="field">
        Signal
        <input
          list="signals"
          value={name}
          spellcheck={false}
          onInput={(event) => setName(event.currentTarget.value.toUpperCase())}
        />
        <datalist id="signals">
          {SIGNALS.map((signal) => (
            <option key={signal} value={signal} />
          ))}
        </datalist>
      </label>
      <Buttons
        verb="Send"
        dismiss="Send nothing"
        isDanger={false}
        onClose={onClose}
        onConfirm={() => void app.actions.signal(idsOf(jobs), name)}
      />
    </Dialog>
  );
}

function RestartDialog({ app, jobs, onClose }: JobsDialogProps) {
  const alive = running(jobs).length;
  return (
    <Dialog title={`Restart ${what(jobs)}?`} onClose={onClose}>
      <JobNames jobs={jobs} />
      <p>
        {alive === 1 ? "One of them is running" : `${alive} are running`}: it is cancelled first,
        with 5 s to end by itself. Then the same command is started as a new job.
      </p>
      <Buttons
        verb="Restart"
        dismiss="Let it run"
        onClose={onClose}
        onConfirm={() => void app.restart(jobs)}
      />
    </Dialog>
  );
}

function RemoveDialog({ app, jobs, onClose }: JobsDialogProps) {
  const alive = running(jobs).length;
  return (
    <Dialog title={`Remove ${what(jobs)}?`} onClose={onClose}>
      <JobNames jobs={jobs} />
      <p>
        The record and all of the output are deleted. This cannot be undone.
        {alive > 0 && (
          <>
            {" "}
            <b>
              {alive === 1 ? "One of them is running and is" : `${alive} are running and are`}{" "}
              cancelled first.
            </b>
          </>
        )}
      </p>
      <Buttons
        verb={`Remove ${what(jobs)}`}
        dismiss="Keep"
        isDefault={false}
        onClose={onClose}
        onConfirm={() => {
          const ids = idsOf(jobs);
          const { jobId } = app.router.route.value;
          if (jobId !== undefined && ids.includes(jobId)) app.router.openList();
          void app.actions.remove(ids);
        }}
      />
    </Dialog>
  );
}

function CleanupDialog({ app, onClose }: Omit<JobsDialogProps, "jobs">) {
  const [ageMs, setAgeMs] = useState(86_400_000);
  return (
    <Dialog title="Clean up" onClose={onClose}>
      <label class="field">
        Remove all jobs, with their output, that ended longer ago than
        <select value={ageMs} onChange={(event) => setAgeMs(Number(event.currentTarget.value))}>
          {AGES.map(([label, ms]) => (
            <option key={ms} value={ms}>
              {label}
            </option>
          ))}
        </select>
      </label>
      <p>This cannot be undone. Jobs that run are left alone.</p>
      <Buttons
        verb="Remove them"
        dismiss="Keep all"
        isDefault={false}
        onClose={onClose}
        onConfirm={() => void app.actions.cleanUp(ageMs)}
      />
    </Dialog>
  );
}

const KEYS: readonly [keys: string, meaning: string][] = [
  ["j k ↓ ↑", "next, previous job"],
  ["g G", "first, last job"],
  ["Enter", "open the job"],
  ["x Space", "mark the job; Shift-click marks a range"],
  ["a", "mark all, or none"],
  ["/", "filter the jobs; in a job, search its output"],
  ["n", "start a new job"],
  ["c", "cancel the job, or those that are marked"],
  ["K", "send a signal"],
  ["r", "restart the job"],
  ["d Delete", "remove the job, or those that are marked"],
  ["f", "in a job: follow its output, at its end"],
  ["Esc", "unmark; leave a field; back to the list"],
  ["F6", "leave a terminal that takes the keys"],
  ["?", "these keys"],
];

function KeysDialog({ onClose }: { readonly onClose: () => void }) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <dl class="keys">
        {KEYS.map(([keys, meaning]) => (
          <div key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
      <div class="buttons">
        <button type="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

interface ButtonsProps {
  readonly verb: string;
  readonly dismiss: string;
  readonly isDanger?: boolean;
  /** Whether Enter does it. Not where everything is lost by that. */
  readonly isDefault?: boolean;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

function Buttons({
  verb,
  dismiss,
  isDanger = true,
  isDefault = true,
  onConfirm,
  onClose,
}: ButtonsProps) {
  return (
    <div class="buttons">
      <button type="button" autofocus={!isDefault} onClick={onClose}>
        {dismiss}
      </button>
      <button
        type="button"
        class={isDanger ? "danger" : "primary"}
        autofocus={isDefault}
        onClick={() => {
          onClose();
          onConfirm();
        }}
      >
        {verb}
      </button>
    </div>
  );
}

const MAX_NAMES = 6;

function JobNames({ jobs }: { readonly jobs: readonly Job[] }) {
  const more = jobs.length - MAX_NAMES;
  return (
    <ul class="job-names">
      {jobs.slice(0, MAX_NAMES).map((job) => (
        <li key={job.id}>
          <code dir="ltr">{commandLine(job)}</code>
        </li>
      ))}
      {more > 0 && <li class="muted">and {more.toLocaleString("en")} more</li>}
    </ul>
  );
}

function what(jobs: readonly Job[]): string {
  return jobs.length === 1 ? "this job" : `${jobs.length.toLocaleString("en")} jobs`;
}

function idsOf(jobs: readonly Job[]): readonly string[] {
  return jobs.map(({ id }) => id);
}
