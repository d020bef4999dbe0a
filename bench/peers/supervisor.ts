import { spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { Agent, request as httpRequest } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { measureCalls, type Run } from "../callers.js";
import { cpuSeconds } from "../process-figures.js";
import type { Scratch } from "../scratch.js";
import type { Contender } from "./contender.js";
import { findProgram } from "./programs.js";

/** Processes that it is configured with, each of which runs once at a time. */
const PROCESSES = 64;
const START_TIMEOUT_MS = 20_000;
const POLL_INTERVAL_MS = 5;

/**
 * supervisord, by XML-RPC over its unix socket. It runs what its configuration
 * names, keeps state in memory, and is asked again and again whether a process
 * has ended: but for plugins of its own process, it tells nobody.
 * @throws NotInstalled
 */
export async function supervisor(scratch: Scratch): Promise<Contender> {
  const program = findProgram("supervisord");
  const dir = scratch.dir();
  const socketPath = join(dir, "supervisor.sock");
  const agent = new Agent({ keepAlive: true });
  scratch.defer(() => agent.destroy());
  const supervisord = scratch.child(
    spawn(program, ["--nodaemon", "--configuration", writeConfiguration(dir, socketPath)], {
      stdio: "ignore",
    }),
  );
  const { pid = 0 } = supervisord;
  const deadlineMs = performance.now() + START_TIMEOUT_MS;
  while (!existsSync(socketPath)) {
    if (supervisord.exitCode !== null || performance.now() > deadlineMs) {
      throw new Error("supervisord does not come up");
    }
    await sleep(10);
  }
  const call = (method: string, ...params: readonly (string | boolean)[]) =>
    callXmlRpc({ socketPath, agent }, `supervisor.${method}`, params);
  const untilEnded = async (name: string) => {
    while (!/EXITED/.test(await call("getProcessInfo", name))) await sleep(POLL_INTERVAL_MS);
  };
  const start = (name: string) => call("startProcess", name, false);
  const startAndAwait = async (caller: number) => {
    await start(nameOf(caller));
    await untilEnded(nameOf(caller));
  };
  /** Each process once, and their ends, which are not measured. */
  const startOnce = async (callers: number, count: number) => {
    let next = 0;
    const run = await measureCalls({ callers, count }, () => start(nameOf(next++)));
    for (let index = 0; index < count; index += 1) await untilEnded(nameOf(index));
    return run;
  };
  return {
    name: "supervisor: startProcess",
    run: async ({ callers, count, untilEnd }) => {
      const cpu = cpuSeconds(pid);
      const runs: Run[] = [];
      if (untilEnd) runs.push(await measureCalls({ callers, count }, startAndAwait));
      for (let left = untilEnd ? 0 : count; left > 0; left -= PROCESSES) {
        runs.push(await startOnce(callers, Math.min(left, PROCESSES)));
      }
      return {
        seconds: runs.reduce((sum, { seconds }) => sum + seconds, 0),
        latenciesMs: runs.flatMap(({ latenciesMs }) => latenciesMs),
        // Where the ends are asked for afterwards, that is not the starts' work.
        ...(untilEnd ? { serverCpuSeconds: cpuSeconds(pid) - cpu } : {}),
      };
    },
  };
}

function nameOf(index: number): string {
  return `job:job_${String(index).padStart(2, "0")}`;
}

function writeConfiguration(dir: string, socketPath: string): string {
  const logs = join(dir, "logs");
  mkdirSync(logs);
  const path = join(dir, "supervisord.conf");
  const user = process.getuid?.() === 0 ? "user=root" : "";
  writeFileSync(
    path,
    `[supervisord]
${user}
logfile=${join(dir, "supervisord.log")}
pidfile=${join(dir, "supervisord.pid")}
childlogdir=${logs}
[unix_http_server]
file=${socketPath}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:job]
command=true
process_name=%(program_name)s_%(process_num)02d
numprocs=${PROCESSES}
autostart=false
autorestart=false
startsecs=0
`,
  );
  return path;
}

/** @throws Error for a fault */
function callXmlRpc(
  options: { readonly socketPath: string; readonly agent: Agent },
  method: string,
  params: readonly (string | boolean)[],
): Promise<string> {
  const values = params.map((param) =>
    typeof param === "string" ? `<string>${param}</string>` : `<boolean>${Number(param)}</boolean>`,
  );
  const xmlParams = values.map((value) => `<param><value>${value}</value></param>`).join("");
  const body = `<?xml version="1.0"?><methodCall><methodName>${method}</methodName><params>${xmlParams}</params></methodCall>`;
  const headers = { "Content-Type": "text/xml", "Content-Length": Buffer.byteLength(body) };
  return new Promise((resolve, reject) => {
    httpRequest({ ...options, path: "/RPC2", method: "POST", headers }, (response) => {
      let text = "";
      response.on("data", (data: Buffer) => (text += data.toString()));
      response.on("error", reject);
      response.on("end", () => {
        if (response.statusCode === 200 && !text.includes("<fault>")) resolve(text);
        else reject(new Error(`${method} of supervisor: ${response.statusCode} ${text}`));
      });
    })
      .on("error", reject)
      .end(body);
  });
}
