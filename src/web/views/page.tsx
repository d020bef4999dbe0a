import { useEffect } from "preact/hooks";
import { NoticeList } from "../parts/notice-list.js";
import { theme } from "../parts/theme.js";
import type { App } from "../state/app.js";
import { visible } from "../state/words.js";
import { DoorView } from "./door-view.js";
import { JobView } from "./job-view.js";
import { JobsView } from "./jobs-view.js";
import { Questions } from "./questions.js";
import { StartView } from "./start-view.js";

export function Page({ app }: { readonly app: App }) {
  const status = app.door.status.value;
  const { start } = app.router.route.value;
  const job = app.job.value;
  const isDark = theme.isDark.value;
  useEffect(() => {
    document.documentElement.dataset["theme"] = isDark ? "dark" : "light";
  }, [isDark]);
  const name = job?.job.value?.name ?? job?.job.value?.command;
  const host = status.type === "in" ? status.host : "";
  useEffect(() => {
    // Only the page itself gives itself a title.
    document.title = visible(name ? `${name} · procman` : `procman ${host}`.trim());
  }, [name, host]);
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => onPageKey(app, event);
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [app]);

  if (status.type !== "in") return <DoorView status={status} />;
  return (
    <>
      <TopBar app={app} host={host} />
      {!app.isReached.value && (
        <p class="lost" role="alert">
          The server does not answer. The page goes on by itself as soon as it does; jobs run on
          meanwhile.
        </p>
      )}
      {start !== undefined ? (
        <StartView key={JSON.stringify(start)} app={app} start={start} />
      ) : job ? (
        <JobView key={job.id} app={app} state={job} />
      ) : (
        <JobsView app={app} />
      )}
      <Questions app={app} />
      <NoticeList notices={app.notices} />
    </>
  );
}

function TopBar({ app, host }: { readonly app: App; readonly host: string }) {
  return (
    <nav class="top" aria-label="Page">
      <button type="button" class="plain brand" onClick={() => app.router.openList()}>
        procman <span class="muted">{visible(host)}</span>
      </button>
      <span class="grow" />
      <button type="button" class="primary" onClick={() => app.router.openStart("new")}>
        Start a job
      </button>
      <button
        type="button"
        class="plain"
        onClick={() => (app.question.value = { type: "cleanup" })}
      >
        Clean up…
      </button>
      <button
        type="button"
        class="plain"
        aria-label={theme.isDark.value ? "Light colours" : "Dark colours"}
        title={theme.isDark.value ? "Light colours" : "Dark colours"}
        onClick={() => theme.toggle()}
      >
        {theme.isDark.value ? "☀" : "☾"}
      </button>
      <button
        type="button"
        class="plain"
        aria-label="Keys"
        title="Keys (?)"
        onClick={() => (app.question.value = { type: "keys" })}
      >
        ?
      </button>
      <button type="button" class="plain" onClick={() => void app.leave()}>
        Log out
      </button>
    </nav>
  );
}

function onPageKey(app: App, event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (app.door.status.value.type !== "in" || app.question.value) return;
  const target = event.target as HTMLElement;
  const isTyping = target.matches("input:not([type=checkbox],[type=range]), textarea, select");
  const { route } = app.router;
  if (event.key === "Escape") {
    if (isTyping && target.closest(".xterm")) return;
    if (isTyping && !target.closest(".start")) focusMain();
    else if (route.value.jobId !== undefined || route.value.start) app.router.openList();
    return;
  }
  if (isTyping) return;
  const job = app.job.value?.job.value;
  const act: Readonly<Record<string, () => void>> = {
    "/": () => document.querySelector<HTMLElement>("#filter, #search")?.focus(),
    "?": () => (app.question.value = { type: "keys" }),
    n: () => app.router.openStart("new"),
    ...(job && {
      c: () => app.ask("cancel", [job]),
      K: () => app.ask("signal", [job]),
      r: () => app.ask("restart", [job]),
      d: () => app.ask("remove", [job]),
      Delete: () => app.ask("remove", [job]),
    }),
  };
  const action = act[event.key];
  if (action) {
    event.preventDefault();
    return action();
  }
  // Keys of the table and the output count wherever the focus is otherwise.
  if (target === document.body) focusMain(event);
}

/** Gives the focus to the table or the output, and the key that was meant for it. */
function focusMain(key?: KeyboardEvent): void {
  const main = document.querySelector<HTMLElement>(".table, #output");
  main?.focus();
  if (key) main?.dispatchEvent(new KeyboardEvent("keydown", { key: key.key, bubbles: false }));
}
