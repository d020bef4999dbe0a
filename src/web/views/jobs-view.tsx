import { useEffect, useRef } from "preact/hooks";
import { type Job, STATUSES } from "../../contract/job.js";
import { ProgressBar } from "../parts/progress-bar.js";
import { StatusMark } from "../parts/status-mark.js";
import { useIsNarrow } from "../parts/use-is-narrow.js";
import { useVirtualRows } from "../parts/virtual-rows.js";
import type { App } from "../state/app.js";
import { DEFAULT_QUERY, type SortKey } from "../state/job-query.js";
import { errorWords } from "../state/notices.js";
import {
  bytesText,
  commandLine,
  durationText,
  exitText,
  processCount,
  reasonText,
  runTimeMs,
  statusWords,
  visible,
} from "../state/words.js";
import { ActionBar } from "./action-bar.js";

const ROW_HEIGHT = 32;
const NARROW_ROW_HEIGHT = 58;
const PAGE_ROWS = 20;

interface Column {
  readonly key: SortKey;
  readonly title: string;
}

const COLUMNS: readonly Column[] = [
  { key: "status", title: "Status" },
  { key: "name", title: "Command" },
  { key: "progress", title: "Progress" },
  { key: "time", title: "Time" },
  { key: "cpu", title: "CPU" },
  { key: "memory", title: "Memory" },
  { key: "exit", title: "Exit" },
  { key: "created", title: "Started" },
];

export function JobsView({ app }: { readonly app: App }) {
  return (
    <main class="jobs">
      <Filter app={app} />
      <Unreadable app={app} />
      <JobTable app={app} />
      <ActionBar
        app={app}
        jobs={app.selection.marked.value}
        onClear={() => app.selection.clear()}
      />
    </main>
  );
}

/** The jobs that the table cannot have. */
function Unreadable({ app }: { readonly app: App }) {
  const { unreadable, unreadableSize: count } = app.jobs.unreadable.value;
  if (count === 0) return null;
  return (
    <details class="unreadable">
      <summary>
        {count === 1 ? "The record of 1 job" : `The records of ${count.toLocaleString("en")} jobs`}{" "}
        cannot be read
      </summary>
      <ul>
        {unreadable.map((job) => (
          <li key={job.id}>
            <code>{visible(job.id)}</code> {visible(job.error)}{" "}
            <button
              type="button"
              class="danger"
              onClick={() => (app.question.value = { type: "unreadable", job })}
            >
              Remove…
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}

function Filter({ app }: { readonly app: App }) {
  const { router, jobs } = app;
  const { query } = router.route.value;
  const counts = jobs.counts.value;
  return (
    <div class="filter" role="search">
      <input
        id="filter"
        type="search"
        placeholder="Filter by command, name, id, label   /"
        aria-label="Filter the jobs"
        spellcheck={false}
        autocomplete="off"
        value={query.text}
        onInput={(event) => router.changeQuery({ text: event.currentTarget.value })}
      />
      <div class="chips" role="group" aria-label="Statuses">
        <Chip
          label="all"
          count={counts.all}
          isOn={query.statuses.length === 0}
          onClick={() => router.changeQuery({ statuses: [] })}
        />
        {STATUSES.filter((status) => counts.of[status] > 0 || query.statuses.includes(status)).map(
          (status) => (
            <Chip
              key={status}
              label={status}
              count={counts.of[status]}
              isOn={query.statuses.includes(status)}
              onClick={() =>
                router.changeQuery({
                  statuses: query.statuses.includes(status)
                    ? query.statuses.filter((each) => each !== status)
                    : [...query.statuses, status],
                })
              }
            />
          ),
        )}
        {query.labels.map((label) => (
          <button
            key={label}
            type="button"
            class="chip on"
            aria-label={`Remove the filter ${visible(label)}`}
            onClick={() =>
              router.changeQuery({ labels: query.labels.filter((each) => each !== label) })
            }
          >
            <bdi>{visible(label)}</bdi> ✕
          </button>
        ))}
      </div>
    </div>
  );
}

interface ChipProps {
  readonly label: string;
  readonly count: number;
  readonly isOn: boolean;
  readonly onClick: () => void;
}

function Chip({ label, count, isOn, onClick }: ChipProps) {
  return (
    <button
      type="button"
      class={`chip ${label} ${isOn ? "on" : ""}`}
      aria-pressed={isOn}
      onClick={onClick}
    >
      {label} <span class="count">{count.toLocaleString("en")}</span>
    </button>
  );
}

function JobTable({ app }: { readonly app: App }) {
  const { jobs, selection, router } = app;
  const scroller = useRef<HTMLDivElement>(null);
  const isNarrow = useIsNarrow();
  const rowHeight = isNarrow ? NARROW_ROW_HEIGHT : ROW_HEIGHT;
  const rows = jobs.rows.value;
  const { items, totalHeight, scrollTo } = useVirtualRows(rows.length, rowHeight, scroller);
  const active = selection.activeIndex.value;

  useEffect(() => scroller.current?.focus({ preventScroll: true }), []);
  const hasRows = rows.length > 0;
  // For those who measure the page.
  useEffect(() => void (hasRows && performance.mark("first-rows")), [hasRows]);

  const move = (steps: number) => {
    if (rows.length > 0) scrollTo(selection.move(steps));
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    act({ app, move });
  };
  const marked = selection.marked.value.length;

  return (
    <div
      ref={scroller}
      class={`table ${isNarrow ? "narrow" : ""}`}
      role="grid"
      aria-label="Jobs"
      aria-rowcount={rows.length + 1}
      aria-multiselectable="true"
      aria-busy={!jobs.loaded.value}
      aria-activedescendant={active === -1 ? undefined : `row-${rows[active]?.id}`}
      tabIndex={0}
      onKeyDown={onKeyDown}
    >
      <div class="row head" role="row" aria-rowindex={1}>
        <span role="columnheader" class="mark">
          <input
            type="checkbox"
            tabIndex={-1}
            aria-label="Mark all"
            checked={marked > 0 && marked === rows.length}
            onClick={() => selection.toggleAll()}
          />
        </span>
        {COLUMNS.map((column) => (
          <SortHeader key={column.key} app={app} column={column} />
        ))}
      </div>
      <div class="body" role="rowgroup" style={{ height: `${totalHeight}px` }}>
        {items.map(({ index, start }) => {
          const job = rows[index];
          return (
            job && (
              <JobRow
                key={job.id}
                app={app}
                job={job}
                index={index}
                top={start}
                height={rowHeight}
                isActive={index === active}
              />
            )
          );
        })}
      </div>
      {rows.length === 0 && <Empty app={app} onReset={() => router.changeQuery(DEFAULT_QUERY)} />}
    </div>
  );
}

interface KeyContext {
  readonly app: App;
  readonly move: (steps: number) => void;
}

/** What keys do while the table has the focus; the page has more. */
const KEYS: Readonly<Record<string, (context: KeyContext) => void>> = {
  j: ({ move }) => move(1),
  ArrowDown: ({ move }) => move(1),
  k: ({ move }) => move(-1),
  ArrowUp: ({ move }) => move(-1),
  PageDown: ({ move }) => move(PAGE_ROWS),
  PageUp: ({ move }) => move(-PAGE_ROWS),
  Home: ({ move }) => move(-Infinity),
  g: ({ move }) => move(-Infinity),
  End: ({ move }) => move(Infinity),
  G: ({ move }) => move(Infinity),
  Enter: ({ app }) => {
    if (app.selection.active) app.router.openJob(app.selection.active.id);
  },
  x: ({ app }) => {
    if (app.selection.active) app.selection.toggle(app.selection.active.id);
  },
  " ": ({ app }) => {
    if (app.selection.active) app.selection.toggle(app.selection.active.id);
  },
  a: ({ app }) => app.selection.toggleAll(),
  c: ({ app }) => app.ask("cancel", app.selection.target),
  K: ({ app }) => app.ask("signal", app.selection.target),
  Delete: ({ app }) => app.ask("remove", app.selection.target),
  d: ({ app }) => app.ask("remove", app.selection.target),
  r: ({ app }) => app.ask("restart", app.selection.target),
  Escape: ({ app }) => app.selection.clear(),
};

function SortHeader({ app, column }: { readonly app: App; readonly column: Column }) {
  const { title } = column;
  const { query } = app.router.route.value;
  const isOn = query.sort === column.key;
  const order = isOn ? (query.descending ? "descending" : "ascending") : "none";
  return (
    <span role="columnheader" class={column.key} aria-sort={order}>
      <button
        type="button"
        class="plain"
        tabIndex={-1}
        onClick={() =>
          app.router.changeQuery({
            sort: column.key,
            // Of numbers, the largest are wanted first.
            descending: isOn ? !query.descending : column.key !== "name" && column.key !== "status",
          })
        }
      >
        {title}
        <span aria-hidden="true">{isOn ? (query.descending ? " ↓" : " ↑") : ""}</span>
      </button>
    </span>
  );
}

interface JobRowProps {
  readonly app: App;
  readonly job: Job;
  readonly index: number;
  readonly top: number;
  readonly height: number;
  readonly isActive: boolean;
}

function JobRow({ app, job, index, top, height, isActive }: JobRowProps) {
  const { selection, router } = app;
  const isMarked = selection.isMarked(job.id);
  const nowMs = app.nowMs.value;
  const time = runTimeMs(job, nowMs);
  const cpu = app.jobs.cpuShare(job.id);
  return (
    <div
      id={`row-${job.id}`}
      class={`row ${isActive ? "active" : ""} ${isMarked ? "marked" : ""}`}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={isMarked}
      style={{ transform: `translateY(${top}px)`, height: `${height}px` }}
      onClick={(event) => {
        selection.activate(job.id);
        if (event.shiftKey) return selection.extendTo(job.id);
        if (event.ctrlKey || event.metaKey) return selection.toggle(job.id);
        router.openJob(job.id);
      }}
    >
      <span role="gridcell" class="mark">
        <input
          type="checkbox"
          tabIndex={-1}
          aria-label="Mark"
          checked={isMarked}
          onClick={(event) => {
            event.stopPropagation();
            if (event.shiftKey) selection.extendTo(job.id);
            else selection.toggle(job.id);
          }}
        />
      </span>
      <span role="gridcell" class="state">
        <StatusMark job={job} />
      </span>
      <span role="gridcell" class="name">
        {job.name !== undefined && <b>{visible(job.name)}</b>}
        <code dir="ltr" title={commandLine(job)}>
          {commandLine(job)}
        </code>
        {job.remainingProcesses !== undefined && (
          <span class="label left" title={statusWords(job)}>
            {processCount(job.remainingProcesses)} left
          </span>
        )}
        <Labels app={app} job={job} />
      </span>
      <span role="gridcell" class="progress">
        {job.status === "running" && <ProgressBar job={job} />}
      </span>
      <span role="gridcell" class="time">
        {time === undefined ? "" : durationText(time)}
      </span>
      <span role="gridcell" class="cpu">
        {cpu === undefined ? "" : `${Math.round(cpu * 100)}%`}
      </span>
      <span role="gridcell" class="memory">
        {job.status === "running" && job.usage?.memoryBytes !== undefined
          ? bytesText(job.usage.memoryBytes)
          : ""}
      </span>
      <span role="gridcell" class="exit" title={statusWords(job)}>
        {reasonText(job) ?? exitText(job)}
      </span>
      <span role="gridcell" class="created" title={job.createdTime.toLocaleString()}>
        {agoText(nowMs - job.createdTime.getTime())}
      </span>
    </div>
  );
}

function agoText(ms: number): string {
  return ms < 1000 ? "now" : `${durationText(Math.floor(ms / 1000) * 1000).split(" ")[0]} ago`;
}

function Labels({ app, job }: { readonly app: App; readonly job: Job }) {
  const { query } = app.router.route.value;
  return (
    <>
      {Object.entries(job.labels).map(([key, value]) => {
        const label = `${key}=${value}`;
        return (
          <button
            key={key}
            type="button"
            class="label"
            tabIndex={-1}
            title={`Show only jobs with ${visible(label)}`}
            onClick={(event) => {
              event.stopPropagation();
              if (query.labels.includes(label)) return;
              app.router.changeQuery({ labels: [...query.labels, label] });
            }}
          >
            <bdi>{visible(label)}</bdi>
          </button>
        );
      })}
    </>
  );
}

function Empty({ app, onReset }: { readonly app: App; readonly onReset: () => void }) {
  const { jobs, router } = app;
  const error = jobs.error.value;
  if (error) {
    return (
      <div class="empty" role="alert">
        <h2>The jobs cannot be shown</h2>
        <p>{errorWords(error).text}</p>
      </div>
    );
  }
  if (!jobs.loaded.value) return <div class="empty muted">Loading…</div>;
  if (jobs.isFiltered.value) {
    return (
      <div class="empty">
        <h2>No job matches</h2>
        <p>There are {jobs.total.value.toLocaleString("en")} jobs in all.</p>
        <button type="button" onClick={onReset}>
          Show all jobs
        </button>
      </div>
    );
  }
  return (
    <div class="empty">
      <h2>There are no jobs yet</h2>
      <p>Start a command here, or in a terminal:</p>
      <pre>procman run -- make -j8</pre>
      <button type="button" class="primary" onClick={() => router.openStart("new")}>
        Start a job
      </button>
    </div>
  );
}
