import type { Job } from "../../contract/job.js";
import { withProcesses } from "../state/actions.js";
import type { App } from "../state/app.js";

export interface ActionBarProps {
  readonly app: App;
  readonly jobs: readonly Job[];
  readonly onClear: () => void;
}

/** What can be done with the jobs that are marked. */
export function ActionBar({ app, jobs, onClear }: ActionBarProps) {
  if (jobs.length === 0) return null;
  const canEnd = withProcesses(jobs).length > 0;
  return (
    <div class="action-bar" role="toolbar" aria-label="Marked jobs">
      <span>{jobs.length.toLocaleString("en")} marked</span>
      <button type="button" disabled={!canEnd} onClick={() => app.ask("cancel", jobs)}>
        Cancel…
      </button>
      <button type="button" disabled={!canEnd} onClick={() => app.ask("signal", jobs)}>
        Signal…
      </button>
      <button type="button" onClick={() => app.ask("restart", jobs)}>
        Restart
      </button>
      <button type="button" class="danger" onClick={() => app.ask("remove", jobs)}>
        Remove…
      </button>
      <button type="button" class="plain" onClick={onClear}>
        Unmark <kbd>Esc</kbd>
      </button>
    </div>
  );
}
