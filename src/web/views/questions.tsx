import { useState } from "preact/hooks";
import type { Job } from "../../contract/job.js";
import type { UnreadableJob } from "../../contract/procman.js";
import { Dialog } from "../parts/dialog.js";
import { remainingCount, running } from "../state/actions.js";
import type { App } from "../state/app.js";
import { commandLine, processCount, visible } from "../state/words.js";

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
      return <CancelDialog app={app} jobs={question.jobs} onClose={close} />;
    case "signal":
      return <SignalDialog app={app} jobs={question.jobs} onClose={close} />;
    case "restart":
      return <RestartDialog app={app} jobs={question.jobs} onClose={close} />;
    case "remove":
      return <RemoveDialog app={app} jobs={question.jobs} onClose={close} />;
    case "unreadable":
      return <UnreadableDialog app={app} job={question.job} onClose={close} />;
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
  const left = remainingCount(jobs);
  const isOver = running(jobs).length === 0;
  const verb = isOver ? `End ${processCount(left)}` : `Cancel ${what(jobs)}`;
  return (
    <Dialog title={`${verb}?`} onClose={onClose}>
      <JobNames jobs={jobs} />
      {isOver ? (
        <p>The command has ended, and has left {processCount(left)} behind.</p>
      ) : (
        left > 0 && <p>Of those that have ended, {processCount(left)} that they left are ended.</p>
      )}
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
        verb={verb}
        dismiss="Let it run"
        onClose={onClose}
        onConfirm={() => void app.actions.cancel(jobs, graceS * 1000)}
      />
    </Dialog>
  );
}

function SignalDialog({ app, jobs, onClose }: JobsDialogProps) {
  const [name, setName] = useState("SIGINT");
  const send = () => void app.actions.signal(idsOf(jobs), name);
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
          onKeyDown={(event) => {
            if (event.key !== "Enter" || name === "") return;
            onClose();
            send();
          }}
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
        isDisabled={name === ""}
        onClose={onClose}
        onConfirm={send}
      />
    </Dialog>
  );
}

function RestartDialog({ app, jobs, onClose }: JobsDialogProps) {
  return (
    <Dialog title={`Restart ${what(jobs)}?`} onClose={onClose}>
      <JobNames jobs={jobs} />
      <p>
        {aliveText(jobs)} They are ended first, with 5 s to end by themselves. Then the same command
        is started as a new job.
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

/** Says what would be ended: "1 job is running. 2 processes are left." */
function aliveText(jobs: readonly Job[]): string {
  const alive = running(jobs).length;
  const left = remainingCount(jobs);
  const texts = [
    alive === 0 ? "" : `${alive} ${alive === 1 ? "job is" : "jobs are"} running.`,
    left === 0 ? "" : `${processCount(left)} ${left === 1 ? "is" : "are"} left of what has ended.`,
  ];
  return texts.filter((text) => text !== "").join(" ");
}

function RemoveDialog({ app, jobs, onClose }: JobsDialogProps) {
  const [includeRemaining, setIncludeRemaining] = useState(false);
  const alive = running(jobs).length;
  const left = remainingCount(jobs);
  const heldBack = jobs.filter((job) => remainingCount([job]) > 0).length;
  return (
    <Dialog title={`Remove ${what(jobs)}?`} onClose={onClose}>
      <JobNames jobs={jobs} />
      <p>
        The record and all of the output are deleted. This cannot be undone.
        {alive > 0 && (
          <>
            {" "}
            <b>
              {alive === 1 ? "1 job is running and is" : `${alive} are running and are`} cancelled
              first.
            </b>
          </>
        )}
      </p>
      {left > 0 && (
        <>
          <p>
            {heldBack === 1 ? "1 job has" : `${heldBack} jobs have`} left {processCount(left)}{" "}
            behind, and cannot be removed while {left === 1 ? "that runs" : "they run"}.
          </p>
          <RemainingCheck
            label={`End ${left === 1 ? "it" : "them"} first (SIGTERM, after 5 s SIGKILL)`}
            isOn={includeRemaining}
            onChange={setIncludeRemaining}
          />
        </>
      )}
      <Buttons
        verb={`Remove ${what(jobs)}`}
        dismiss="Keep"
        isDefault={false}
        isDisabled={heldBack === jobs.length && !includeRemaining}
        onClose={onClose}
        onConfirm={() => {
          const ids = idsOf(jobs);
          const { jobId } = app.router.route.value;
          if (jobId !== undefined && ids.includes(jobId)) app.router.openList();
          void app.actions.remove(ids, { includeRemaining });
        }}
      />
    </Dialog>
  );
}

interface UnreadableDialogProps {
  readonly app: App;
  readonly job: UnreadableJob;
  readonly onClose: () => void;
}

function UnreadableDialog({ app, job, onClose }: UnreadableDialogProps) {
  return (
    <Dialog title="Remove this job?" onClose={onClose}>
      <p>
        <code>{visible(job.id)}</code>: {visible(job.error)}.
      </p>
      <p>
        A newer version of procman may be able to read its record. All of its files are deleted,
        with its output. This cannot be undone.
      </p>
      <Buttons
        verb="Remove this job"
        dismiss="Keep"
        isDefault={false}
        onClose={onClose}
        onConfirm={() => void app.actions.removeUnreadable(job.id)}
      />
    </Dialog>
  );
}

interface RemainingCheckProps {
  readonly label: string;
  readonly isOn: boolean;
  readonly onChange: (isOn: boolean) => void;
}

function RemainingCheck({ label, isOn, onChange }: RemainingCheckProps) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={isOn}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />{" "}
      {label}
    </label>
  );
}

function CleanupDialog({ app, onClose }: Omit<JobsDialogProps, "jobs">) {
  const [ageMs, setAgeMs] = useState(86_400_000);
  const [includeRemaining, setIncludeRemaining] = useState(false);
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
      <RemainingCheck
        label="Also those that have left processes behind, which are ended"
        isOn={includeRemaining}
        onChange={setIncludeRemaining}
      />
      <Buttons
        verb="Remove them"
        dismiss="Keep all"
        isDefault={false}
        onClose={onClose}
        onConfirm={() => void app.actions.cleanUp(ageMs, { includeRemaining })}
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
  ["t", "in a job: show when its output was written"],
  ["T", "in a job: go to what was written at a time"],
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
  readonly isDisabled?: boolean;
  readonly onConfirm: () => void;
  readonly onClose: () => void;
}

function Buttons({
  verb,
  dismiss,
  isDanger = true,
  isDefault = true,
  isDisabled = false,
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
        disabled={isDisabled}
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
