import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Output, Status } from "../../gen/procman/v1/procman_pb.js";
import { JobDir } from "../../src/core/job-dir.js";
import { readProcessRecord } from "../../src/engine/local/runner/runner-records.js";
import { eventually } from "../helpers/eventually.js";
import { isRoot } from "../helpers/machine.js";
import { asOrdinaryUser } from "../helpers/ordinary-user.js";
import { isRunning } from "../helpers/strangers.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

/*
 * A job's runner and its server know the state directory by its path. It can be away when
 * the job ends: moved, unmounted, locked.
 */

const KINDS = [{}, { stdin: true }, { pty: true, stdin: true }, { output: Output.PIPE }];

/** A job of each kind, which all end with 7 once `end` is called. */
async function startJobs({ client, stateDir }: TestServer) {
  const dir = tempDir();
  // The server may be another user's.
  chmodSync(dir, 0o755);
  const go = join(dir, "go");
  const script = `until [ -e ${go} ]; do sleep 0.02; done; exit 7`;
  const started = KINDS.map((kind) =>
    client.start({ command: "sh", args: ["-c", script], ...kind }),
  );
  const jobs = (await Promise.all(started)).map(({ job }) => {
    const id = job?.id as string;
    const record = readProcessRecord(new JobDir(join(stateDir, "jobs", id)));
    if (record.kind !== "complete") throw new Error("no record");
    return { id, ...record };
  });
  return {
    jobs,
    ids: jobs.map(({ id }) => id),
    end: () => writeFileSync(go, ""),
    commandsEnded: async () => {
      await eventually(
        "the commands' end",
        () => !jobs.some(({ command }) => isRunning(command.pid)),
      );
    },
    ended: async () => {
      await eventually(
        "their end",
        () => !jobs.some(({ exitRecorder: { pid } }) => isRunning(pid)),
      );
    },
  };
}

async function expectEnds({ client }: TestServer, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const { job } = await client.wait({ id });
    expect(job).toMatchObject({ status: Status.FAILED, exitCode: 7, error: "" });
  }
}

describe.skipIf(process.platform !== "linux")(
  "jobs that end while their state directory is away",
  () => {
    test("moved, with its server running: how they ended is known once it is back", async () => {
      const server = await TestServer.start();
      const { ids, end, ended } = await startJobs(server);
      const away = join(tempDir(), "away");
      renameSync(server.stateDir, away);
      try {
        end();
        await ended();
        await server.client.refresh({}).catch(() => {});
      } finally {
        renameSync(away, server.stateDir);
      }
      await expectEnds(server, ids);
    });

    test.each(["back", "moved"])(
      "moved, with no server: the next one knows, its directory %s",
      async (where) => {
        const server = await TestServer.start();
        const { ids, end, ended } = await startJobs(server);
        await server.kill();
        const away = join(tempDir(), "away");
        renameSync(server.stateDir, away);
        end();
        await ended();
        if (where === "back") renameSync(away, server.stateDir);
        const next = where === "back" ? server : TestServer.prepare({ stateDir: away });
        await next.start();
        await expectEnds(next, ids);
      },
    );

    test.skipIf(!isRoot())("unmounted and mounted again", async () => {
      const disk = join(tempDir(), "disk");
      const at = join(tempDir(), "mounted");
      for (const dir of [disk, at]) mkdirSync(dir);
      const mount = () => void execFileSync("mount", ["--bind", disk, at]);
      const unmount = () => void execFileSync("umount", ["--lazy", at]);
      mount();
      onTestFinished(unmount);
      const server = await TestServer.start({ stateDir: join(at, "state") });
      const { ids, end, ended } = await startJobs(server);
      unmount();
      try {
        end();
        await ended();
      } finally {
        mount();
      }
      await expectEnds(server, ids);
    });

    test.skipIf(!isRoot())("locked: their runners wait until they may enter it", async () => {
      const server = await TestServer.start(asOrdinaryUser());
      const { ids, jobs, end, commandsEnded } = await startJobs(server);
      chmodSync(server.stateDir, 0o000);
      for (const id of ids) chmodSync(join(server.stateDir, "jobs", id), 0o000);
      try {
        end();
        await commandsEnded();
        await eventually("their runners to wait", () =>
          jobs.every(({ runner }) => sleeps(runner.pid)),
        );
      } finally {
        for (const id of ids) chmodSync(join(server.stateDir, "jobs", id), 0o700);
        chmodSync(server.stateDir, 0o700);
      }
      await expectEnds(server, ids);
    });
  },
);

test.skipIf(process.platform !== "linux")(
  "of a state directory that was moved, input reaches its jobs, and its end too",
  async () => {
    const server = await TestServer.start();
    const { job } = await server.client.start({ command: "cat", stdin: true });
    const id = job?.id as string;
    await server.kill();
    const moved = join(tempDir(), "moved");
    renameSync(server.stateDir, moved);
    const next = await TestServer.start({ stateDir: moved });
    await next.client.sendInput({ id, data: Buffer.from("line\n"), close: true });
    const ended = await next.client.wait({ id });
    expect(ended.job).toMatchObject({ status: Status.COMPLETED, stdoutBytes: 5n });
  },
);

function sleeps(parent: number): boolean {
  const children = execFileSync("ps", ["-A", "-o", "ppid=,comm="], { encoding: "utf8" });
  // The native runner sleeps in a fork of itself.
  return new RegExp(String.raw`^\s*${parent} (?:sleep|runner-.*)$`, "m").test(children);
}
