import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Scratch } from "../scratch.js";
import type { Contender, Order } from "./contender.js";
import { findProgram, runMeasuringProgram, runProgram, runToCleanUp, SOURCES } from "./programs.js";
import { spawnCommandsProgram } from "./spawn-commands.js";

/*
 * The peers that are programs of their own: each round is one run of a small
 * process, which warms up, measures and prints.
 */

const MAX_CALLERS = 16;

function warmUpOf({ count }: Order): number {
  return Math.ceil(count / 5);
}

/** What everything is compared with. Its end is all that there is to be told of. */
export function bareSpawn(scratch: Scratch): Contender {
  const commands = [["true"]];
  return {
    name: "Node: spawn to exit",
    run: (order) => {
      const program = spawnCommandsProgram({ ...order, commands, warmUp: warmUpOf(order) });
      return runMeasuringProgram(scratch, program);
    },
  };
}

/** @throws NotInstalled */
export async function posixSpawn(scratch: Scratch): Promise<Contender> {
  const program = join(scratch.dir(), "posix-spawn");
  const source = join(SOURCES, "posix-spawn.c");
  await runProgram(scratch, [findProgram("gcc"), "-O2", "-pthread", "-o", program, source]);
  return {
    name: "C: posix_spawn to waitpid",
    run: (order) => {
      const args = [order.callers, order.count, warmUpOf(order)].map(String);
      return runMeasuringProgram(scratch, [program, ...args]);
    },
  };
}

/** @throws NotInstalled */
export async function goProgram(scratch: Scratch): Promise<Contender[]> {
  const dir = scratch.dir();
  const program = join(dir, "start-jobs");
  const source = join(SOURCES, "start-jobs.go");
  const env = { GOCACHE: join(dir, "cache"), GOFLAGS: "", GO111MODULE: "off" };
  await runProgram(scratch, [findProgram("go"), "build", "-o", program, source], { env });
  const contender = (name: string, isDurable: boolean): Contender => ({
    name,
    run: (order) =>
      withOwnDir(dir, (jobs) => {
        const { callers, count, untilEnd } = order;
        const args = [jobs, callers, count, warmUpOf(order), untilEnd, isDurable].map(String);
        return runMeasuringProgram(scratch, [program, ...args]);
      }),
  });
  return [
    contender("Go: Setsid, two logs, state.json", false),
    contender("Go: the same, synced", true),
  ];
}

/** Records in memory; a job's output is a file. @throws NotInstalled */
export async function taskSpooler(scratch: Scratch): Promise<Contender> {
  const tsp = findProgram("tsp");
  const dir = scratch.dir();
  const env = { TS_SOCKET: join(dir, "socket"), TMPDIR: dir };
  scratch.defer(() => runToCleanUp([tsp, "-K"], { env }));
  await runProgram(scratch, [tsp, "-S", String(MAX_CALLERS)], { env });
  return {
    name: "task-spooler: tsp",
    run: async (order) => {
      // -f: until the command has ended.
      const commands = [[tsp, ...(order.untilEnd ? ["-f"] : []), "true"]];
      const program = spawnCommandsProgram({ ...order, commands, warmUp: warmUpOf(order) });
      const run = await runMeasuringProgram(scratch, program, { env });
      await runProgram(scratch, [tsp, "-f", "-N", String(MAX_CALLERS), "true"], { env });
      await runProgram(scratch, [tsp, "-C"], { env });
      return run;
    },
  };
}

/** A queue runs one command at a time, so that each caller has its own. @throws NotInstalled */
export async function nq(scratch: Scratch): Promise<Contender> {
  const program = findProgram("nq");
  const dir = scratch.dir();
  return {
    name: "nq",
    run: (order) =>
      withOwnDir(dir, async (base) => {
        const start = [program, "true"];
        const wait = [program, "-w"];
        const commands = order.untilEnd ? [start, wait] : [start];
        const ownDir = { variable: "NQDIR", base };
        const spawnOrder = { ...order, commands, warmUp: warmUpOf(order), ownDir };
        const run = await runMeasuringProgram(scratch, spawnCommandsProgram(spawnOrder));
        for (let caller = 0; caller < order.callers; caller += 1) {
          await runProgram(scratch, wait, { env: { NQDIR: join(base, String(caller)) } });
        }
        return run;
      }),
  };
}

async function withOwnDir<Result>(
  parent: string,
  act: (dir: string) => Promise<Result>,
): Promise<Result> {
  const dir = join(parent, "run");
  mkdirSync(dir);
  try {
    return await act(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
