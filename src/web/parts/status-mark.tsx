import type { Job, Status } from "../../contract/job.js";

/** A sign beside the word, for those who cannot tell colours apart. */
const SIGN: Readonly<Record<Status, string>> = {
  pending: "◌",
  running: "▶",
  completed: "✓",
  failed: "✕",
  cancelled: "⊘",
  orphaned: "?",
};

export function StatusMark({ job }: { readonly job: Job }) {
  return (
    <span class={`status ${job.status}`}>
      <span class="sign" aria-hidden="true">
        {SIGN[job.status]}
      </span>
      {job.status}
    </span>
  );
}
