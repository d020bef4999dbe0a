import type { Job } from "../../contract/job.js";
import { progressWords } from "../state/words.js";

/** How far a job is, where its output tells. */
export function ProgressBar({
  job,
  words = false,
}: {
  readonly job: Job;
  readonly words?: boolean;
}) {
  const { progress } = job;
  if (!progress) return null;
  const { percent } = progress;
  const text = progressWords(progress);
  return (
    <span class="progress" title={text}>
      {percent !== undefined && (
        <>
          <progress max="100" value={percent} aria-label="progress" />
          <span class="number">{Math.floor(percent)}%</span>
        </>
      )}
      {(words || percent === undefined) && <span class="words">{text}</span>}
    </span>
  );
}
