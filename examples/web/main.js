// A page that starts a command and follows it, with its progress. The client is
// Connect-Web's, and comes back by itself where the connection is lost.
import { createProcmanClient } from "procman/web";

const { server = "http://127.0.0.1:7420", token } = Object.fromEntries(
  new URLSearchParams(location.hash.slice(1)),
);
const procman = createProcmanClient({ baseUrl: server, token });
const script = 'for i in 1 2 3 4 5; do echo "step $i/5"; sleep 0.2; done; exit 3';
const job = await procman.start({ command: "sh", args: ["-c", script] });
for await (const event of procman.watch(job.id)) {
  if (event.type === "line") {
    document.querySelector("pre").append(`${event.text}\n`);
    document.querySelector("progress").value = event.progress?.percent ?? 0;
  }
  if (event.type === "ended") {
    document
      .querySelector("pre")
      .append(`${event.job.status} with exit code ${event.job.exitCode}`);
  }
}
