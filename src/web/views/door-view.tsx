import type { DoorStatus } from "../state/door-state.js";
import { visible } from "../state/words.js";

/** What is shown to those who are not in: why, and what to do. */
export function DoorView({ status }: { readonly status: Exclude<DoorStatus, { type: "in" }> }) {
  if (status.type === "looking") return <p class="loading">procman…</p>;
  if (status.type === "unreachable") {
    return (
      <main class="door">
        <h1>The server does not answer</h1>
        <p>This page goes on by itself as soon as it does. Jobs run on meanwhile.</p>
        <p>
          In a terminal, <code>procman status</code> shows the server, and{" "}
          <code>procman server start</code> starts it.
        </p>
      </main>
    );
  }
  return (
    <main class="door">
      <h1>This browser is not let in</h1>
      <p class="why" role="alert">
        {visible(status.why)}.
      </p>
      <p>In a terminal on the server's machine, as the user whose jobs they are, run</p>
      <pre>procman ui</pre>
      <p>and open the link that it prints. It can be used once, within a minute.</p>
      <p class="muted">
        Other tabs of this browser go on when you reload them: a link is for the whole browser.
      </p>
    </main>
  );
}
