import "@xterm/xterm/css/xterm.css";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { isTerminal, type Job, type Stream } from "../../contract/job.js";
import { type ScreenView, TerminalScreen } from "../parts/terminal-screen.js";
import type { App } from "../state/app.js";
import type { JobState } from "../state/job-state.js";
import { InputState } from "../state/input-state.js";
import { LogState, type OutputChoice } from "../state/log-state.js";
import { errorWords } from "../state/notices.js";
import { writtenText, writtenWords } from "../state/moment.js";
import { SearchState } from "../state/search-state.js";
import { TimeJump } from "../state/time-jump.js";
import { theme } from "../parts/theme.js";
import { bytesText, visible } from "../state/words.js";
import { InputLine } from "./input-line.js";

const NO_VIEW: ScreenView = {
  firstRow: 0,
  rows: [],
  rowHeight: 0,
  isAtEnd: true,
  isAtStart: true,
};

interface Opened {
  readonly screen: TerminalScreen;
  readonly log: LogState;
  readonly jump: TimeJump;
}

export interface LogPaneProps {
  readonly app: App;
  readonly state: JobState;
  readonly job: Job;
}

/** A job's output, as a terminal shows it. */
export default function LogPane({ app, state, job }: LogPaneProps) {
  const host = useRef<HTMLDivElement>(null);
  const pane = useRef<HTMLElement>(null);
  const [view, setView] = useState(NO_VIEW);
  const [open, setOpen] = useState<Opened>();
  const search = useMemo(() => new SearchState(app.procman, job.id), [app, job.id]);
  const input = useMemo(() => new InputState(app.procman, job.id), [app, job.id]);
  const isDark = theme.isDark.value;

  useEffect(() => {
    const element = host.current;
    if (!element) return undefined;
    const screen = new TerminalScreen({
      element,
      isDark: theme.isDark.peek(),
      onView: setView,
      onInput: (text) => input.type(text),
      onSize: (size) => input.resize(size),
      onLeave: () => pane.current?.focus(),
    });
    if (job.pty) screen.setTerminal(isTerminal(job) ? job.windowSize?.columns : undefined);
    const log = new LogState({
      procman: app.procman,
      jobId: job.id,
      screen,
      onJob: (job) => state.hear(job),
    });
    setOpen({ screen, log, jump: new TimeJump(log) });
    void log.follow();
    return () => {
      log.close();
      search.stop();
      screen.dispose();
    };
    // A job's own facts do not change the terminal that it has.
  }, [app, job.id]);

  const takesKeys = job.pty && job.stdin && job.status === "running";
  useEffect(() => {
    open?.screen.setInteractive(takesKeys);
    input.setTerminal(takesKeys ? open?.screen.size : undefined);
  }, [open, takesKeys]);
  useEffect(() => open?.screen.setDark(isDark), [open, isDark]);
  useEffect(() => open?.log.hear(job), [open, job]);
  // A page that nobody sees gives its connections back, and goes on from there later.
  const isVisible = app.isVisible.value;
  useEffect(() => {
    if (isVisible) open?.log.resume();
    else open?.log.pause();
  }, [open, isVisible]);
  const isBusy = open?.log.isBusy.value;
  useEffect(() => {
    if (isBusy) return;
    if (view.isAtStart && !view.isAtEnd) void open?.log.loadEarlier();
    else if (view.isAtEnd) void open?.log.loadLater();
  }, [open, isBusy, view.isAtStart, view.isAtEnd]);

  const log = open?.log;
  const hasTimes = log?.hasTimes.value ?? false;
  const toggleTimes = () => void log?.showTimes(!hasTimes);
  const follow = () => {
    open?.screen.toEnd();
    if (log && log.mode.value === "window") void log.follow();
  };
  const save = async () => {
    try {
      location.assign(await app.door.download(job.id, savedStream(log?.choice.value)));
    } catch (error) {
      app.notices.error("save the log", error);
    }
  };
  const showHit = (steps: 1 | -1) => {
    const hit = search.step(steps);
    if (hit) void log?.goToLine(hit.stream, hit.offset);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== pane.current || event.ctrlKey || event.metaKey || event.altKey) return;
    const act: Readonly<Record<string, () => void>> = {
      j: () => open?.screen.scroll(1),
      ArrowDown: () => open?.screen.scroll(1),
      k: () => open?.screen.scroll(-1),
      ArrowUp: () => open?.screen.scroll(-1),
      PageDown: () => open?.screen.scrollPages(1),
      " ": () => open?.screen.scrollPages(1),
      PageUp: () => open?.screen.scrollPages(-1),
      g: () => void log?.goToStart(),
      Home: () => void log?.goToStart(),
      G: follow,
      End: follow,
      f: follow,
      t: toggleTimes,
      T: () => pane.current?.querySelector<HTMLElement>("#time")?.focus(),
      Enter: () => (takesKeys ? open?.screen.focus() : undefined),
    };
    const action = act[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  };

  const isFollowing = log?.mode.value !== "window" && view.isAtEnd;
  const error = log?.error.value;
  return (
    <section
      ref={pane}
      id="output"
      class={`log ${hasTimes ? "with-times" : ""}`}
      aria-label="Output"
      tabIndex={-1}
      onKeyDown={onKeyDown}
    >
      <div class="log-tools" role="toolbar" aria-label="Output">
        {!job.mergeOutput && (
          <select
            aria-label="Streams"
            value={log?.choice.value ?? "both"}
            onChange={(event) => void log?.choose(event.currentTarget.value as OutputChoice)}
          >
            <option value="both">stdout and stderr</option>
            <option value="stdout">stdout</option>
            <option value="stderr">stderr</option>
          </select>
        )}
        <SearchBox job={job} log={log} search={search} onStep={showHit} />
        <span class="grow" />
        <label class="check">
          <input type="checkbox" checked={hasTimes} onChange={toggleTimes} /> times
        </label>
        {open && <TimeField jump={open.jump} onShown={() => pane.current?.focus()} />}
        <button
          type="button"
          title={`Save all of ${savedStream(log?.choice.value)} as a file`}
          onClick={() => void save()}
        >
          Save
        </button>
        {log && <Position log={log} />}
        <button type="button" title="Go to the start (g)" onClick={() => void log?.goToStart()}>
          Start
        </button>
        <button
          type="button"
          aria-pressed={isFollowing}
          class={isFollowing ? "on" : ""}
          title="Go to the end, and follow what comes (f)"
          onClick={follow}
        >
          {isTerminal(job) ? "End" : isFollowing ? "Following" : "Follow"}
        </button>
      </div>
      {error && (
        <p class="failure" role="alert">
          {errorWords(error).text}{" "}
          <button type="button" onClick={() => void log?.follow()}>
            Try again
          </button>
        </p>
      )}
      <div class="screen">
        <Gutter view={view} hasTimes={hasTimes} placeRow={log?.placeRow.value} />
        <div ref={host} class="terminal" />
      </div>
      {takesKeys && (
        <p class="hint">
          Keys go to the job while its terminal has the focus. <kbd>F6</kbd> leaves it.
        </p>
      )}
      {job.stdin && !job.pty && job.status === "running" && <InputLine input={input} />}
    </section>
  );
}

/** A file has one of them. */
function savedStream(choice: OutputChoice | undefined): Stream {
  return choice === "stderr" ? choice : "stdout";
}

interface GutterProps {
  readonly view: ScreenView;
  readonly hasTimes: boolean;
  readonly placeRow: number | undefined;
}

/** Says of each row which stream it is of, and when it was written. */
function Gutter({ view, hasTimes, placeRow }: GutterProps) {
  const now = new Date();
  let last = "";
  return (
    <div class="gutter" aria-hidden="true">
      {view.rows.map((run, index) => {
        const written = hasTimes ? run?.writtenBetween : undefined;
        const text = written ? writtenText(written, now) : "";
        const shown = text === last ? "" : text;
        last = text;
        const words = [
          run?.stream === "stderr" ? run.stream : "",
          written && writtenWords(written),
        ];
        return (
          <div
            key={index}
            class={`${run?.stream ?? ""} ${view.firstRow + index === placeRow ? "place" : ""}`}
            title={words.filter((word) => word).join(", ") || undefined}
            style={{ height: `${view.rowHeight}px` }}
          >
            {shown !== "" && <span>{shown}</span>}
          </div>
        );
      })}
    </div>
  );
}

/** Goes to what was written at a time. */
function TimeField({ jump, onShown }: { readonly jump: TimeJump; readonly onShown: () => void }) {
  const said = jump.said.value;
  const onKeyDown = async (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (await jump.go()) onShown();
  };
  return (
    <>
      <input
        id="time"
        placeholder="Go to a time   T"
        title="10m ago, 14:30, yesterday 14:30, 2026-01-31 14:30"
        aria-label="Go to a time"
        aria-invalid={said !== ""}
        aria-describedby={said === "" ? undefined : "time-said"}
        spellcheck={false}
        autocomplete="off"
        value={jump.text.value}
        onInput={(event) => {
          jump.text.value = event.currentTarget.value;
          jump.said.value = "";
        }}
        onKeyDown={(event) => void onKeyDown(event)}
      />
      {said !== "" && (
        <span id="time-said" class="failure" role="alert">
          {said}
        </span>
      )}
    </>
  );
}

/** Where in the log the screen is. */
function Position({ log }: { readonly log: LogState }) {
  const size = log.size.value.stdout + log.size.value.stderr;
  const first = log.first.value.stdout + log.first.value.stderr;
  const start = log.start.value.stdout + log.start.value.stderr;
  const end = log.end.value.stdout + log.end.value.stderr;
  if (size === 0) return null;
  const share = log.mode.value === "window" ? (start - first) / Math.max(size - first, 1) : 1;
  const isAll = start <= first && end >= size;
  return (
    <span class="position">
      {!isAll && (
        <input
          type="range"
          min="0"
          max="1000"
          value={Math.round(share * 1000)}
          aria-label="Place in the log"
          onChange={(event) => void log.goToShare(Number(event.currentTarget.value) / 1000)}
        />
      )}
      <span class="muted" title={`${size.toLocaleString("en")} bytes`}>
        {bytesText(size - first)}
      </span>
    </span>
  );
}

interface SearchBoxProps {
  readonly job: Job;
  readonly log: LogState | undefined;
  readonly search: SearchState;
  readonly onStep: (steps: 1 | -1) => void;
}

function SearchBox({ job, log, search, onStep }: SearchBoxProps) {
  const status = search.status.value;
  const error = search.error.value;
  const find = () =>
    search.run(
      job,
      log?.choice.value ?? "both",
      (hit) => void log?.goToLine(hit.stream, hit.offset),
    );
  const [searched, setSearched] = useState("");
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    const wanted = `${search.isRegex.value} ${search.text.value}`;
    if (wanted === searched && status) return onStep(event.shiftKey ? -1 : 1);
    setSearched(wanted);
    void find();
  };
  return (
    <span class="search" role="search">
      <input
        id="search"
        type="search"
        placeholder="Search the whole log   /"
        aria-label="Search the whole log"
        spellcheck={false}
        value={search.text.value}
        onInput={(event) => {
          search.text.value = event.currentTarget.value;
          if (event.currentTarget.value === "") search.clear();
        }}
        onKeyDown={onKeyDown}
      />
      <label class="check" title="A regular expression, in RE2's syntax">
        <input
          type="checkbox"
          checked={search.isRegex.value}
          onChange={(event) => {
            search.isRegex.value = event.currentTarget.checked;
          }}
        />{" "}
        .*
      </label>
      {status && (
        <span class="hits" role="status">
          {error
            ? errorWords(error).details.join("; ") || errorWords(error).text
            : hitsText(status.hits.length, search.current.value, status)}
          {status.hits.length > 0 && (
            <>
              <button
                type="button"
                class="plain"
                aria-label="Previous hit"
                onClick={() => onStep(-1)}
              >
                ↑
              </button>
              <button type="button" class="plain" aria-label="Next hit" onClick={() => onStep(1)}>
                ↓
              </button>
            </>
          )}
        </span>
      )}
    </span>
  );
}

function hitsText(
  count: number,
  current: number,
  { isRunning, hasMore, share }: { isRunning: boolean; hasMore: boolean; share: number },
): string {
  const searching = isRunning ? ` · searching, ${Math.floor(share * 100)}%` : "";
  if (count === 0) return isRunning ? `searching, ${Math.floor(share * 100)}%` : "not found";
  const all = `${count}${hasMore ? "+" : ""}`;
  return visible(`${current === -1 ? "" : `${current + 1} of `}${all}${searching}`);
}
