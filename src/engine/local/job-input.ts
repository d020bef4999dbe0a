import { statSync } from "node:fs";
import { type FileHandle, open, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crashPoint } from "../../core/crash-point.js";
import { type ErrorReason, fromSystemError, ProcmanError } from "../../core/errors.js";
import type { InputPiece } from "../../core/ports.js";
import { unlessAborted } from "../../core/waiting.js";
import { fedBytes, isFeeding, ringFeeder } from "./input-feeder.js";
import { readExitRecord } from "./job-files.js";

/** All that one job can have: it stays on disk until the job is removed. */
const MAX_INPUT_BYTES = 16 * 1024 ** 3;
/** All that a terminal can have: script(1) holds in memory what is not read. */
const MAX_TERMINAL_INPUT_BYTES = 64 * 1024 ** 2;
/** With so much that the command has not read there is no room for more. */
const MAX_BACKLOG_BYTES = 1024 ** 2;
const DEFAULT_ROOM_CEILING_MS = 5000;
const LONGEST_PAUSE_MS = 200;

/** What Ctrl-D types. */
const END_OF_FILE = 4;
const NEWLINE = 10;
const RETURN = 13;

export interface JobInputsOptions {
  /** How long a call waits for room. Default 5000. */
  readonly roomCeilingMs?: number;
}

/**
 * Adds to jobs' input. The truth is stdin.log: its size is how much was taken. So
 * a server that dies at any moment has taken a piece or not, and what it has
 * answered for comes to the command without it. None of it is synced: what would
 * lose it ends the command too.
 */
export class JobInputs {
  readonly #roomCeilingMs: number;
  /** Under way, by the job's directory. */
  readonly #last = new Map<string, Promise<unknown>>();

  constructor({ roomCeilingMs = DEFAULT_ROOM_CEILING_MS }: JobInputsOptions = {}) {
    this.#roomCeilingMs = roomCeilingMs;
  }

  /**
   * Takes a piece, after those before it.
   * @returns where the input ends now.
   * @throws ProcmanError; the signal's reason
   */
  send(dir: string, piece: InputPiece, isTerminal: boolean, signal: AbortSignal): Promise<number> {
    const sending = (this.#last.get(dir) ?? Promise.resolve()).then(() =>
      this.#take(dir, piece, isTerminal, signal),
    );
    const settled = sending.catch(() => {});
    this.#last.set(dir, settled);
    void settled.then(() => {
      if (this.#last.get(dir) === settled) this.#last.delete(dir);
    });
    return unlessAborted(sending, signal);
  }

  async #take(
    dir: string,
    piece: InputPiece,
    isTerminal: boolean,
    signal: AbortSignal,
  ): Promise<number> {
    signal.throwIfAborted();
    try {
      const log = await open(join(dir, "stdin.log"), "r+");
      try {
        const { size } = await log.stat();
        const at = piece.offset ?? size;
        if (at > size)
          throw inputError("OFFSET_OUT_OF_RANGE", dir, `it ends at ${size}, not ${at}`);
        const data = isTerminal && piece.close ? await endedLine(log, at, piece.data) : piece.data;
        await checkSame(dir, log, { ...piece, data }, at, size);
        const rest = data.subarray(size - at);
        const closes = piece.close && !isClosed(dir);
        if (rest.length > 0 || closes) await checkOpen(dir);
        if (rest.length > 0) {
          const limitBytes = isTerminal ? MAX_TERMINAL_INPUT_BYTES : MAX_INPUT_BYTES;
          checkLength(dir, size + rest.length, limitBytes);
          await this.#awaitRoom(dir, log, signal);
          await append(log, rest, size);
          crashPoint("input:appended");
        }
        if (closes) await writeFile(join(dir, "stdin.closed"), "", { mode: 0o600 });
        crashPoint("input:before-ring");
        // Also for what was there before: its server may have died before it rang.
        await ringFeeder(dir);
        return size + rest.length;
      } finally {
        await log.close();
      }
    } catch (error) {
      if (signal.aborted) throw error;
      throw fromSystemError(error, `add to the input of job ${basename(dir)}`, basename(dir));
    }
  }

  /** Waits until the command has read most of what there is. */
  async #awaitRoom(dir: string, log: FileHandle, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const stats = await log.stat();
      const backlogBytes = stats.size - (fedBytes(dir, stats) ?? stats.size);
      if (backlogBytes < MAX_BACKLOG_BYTES) return;
      if (performance.now() - startedAt > this.#roomCeilingMs) {
        const message = `its command has not read ${backlogBytes} bytes of it yet`;
        throw inputError("INPUT_BACKLOG", dir, message);
      }
      await sleep(pauseMs, undefined, { signal });
      await checkOpen(dir);
    }
  }
}

/** The data with what ends it on a terminal: Ctrl-D, which within a line only ends that. */
async function endedLine(log: FileHandle, at: number, data: Uint8Array): Promise<Uint8Array> {
  const last = data.at(-1) ?? (at === 0 ? NEWLINE : (await read(log, at - 1, 1))[0]);
  const lineBegins = last === NEWLINE || last === RETURN || last === END_OF_FILE;
  return Buffer.concat([data, Buffer.alloc(lineBegins ? 1 : 2, END_OF_FILE)]);
}

/** What is there already must be what is sent again, and nothing may follow the last piece. */
async function checkSame(
  dir: string,
  log: FileHandle,
  { data, close }: InputPiece,
  at: number,
  size: number,
): Promise<void> {
  const known = await read(log, at, Math.min(size - at, data.length));
  const differs = known.compare(data, 0, known.length) !== 0;
  if (!differs && !(close && at + data.length < size)) return;
  const message = `something else was sent at offset ${at}; it ends at ${size}`;
  throw inputError("INPUT_CONFLICT", dir, message);
}

async function checkOpen(dir: string): Promise<void> {
  if (isClosed(dir)) throw inputError("INPUT_NOT_OPEN", dir, "it is closed");
  if (!(await isFeeding(dir)) || readExitRecord(dir)) {
    throw inputError("INPUT_NOT_OPEN", dir, "nobody reads it any more");
  }
}

function checkLength(dir: string, lengthBytes: number, limitBytes: number): void {
  if (lengthBytes <= limitBytes) return;
  throw inputError("OFFSET_OUT_OF_RANGE", dir, `it would be longer than ${limitBytes} bytes`);
}

function isClosed(dir: string): boolean {
  return statSync(join(dir, "stdin.closed"), { throwIfNoEntry: false }) !== undefined;
}

async function append(log: FileHandle, data: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < data.length; ) {
    const { bytesWritten } = await log.write(data, done, data.length - done, offset + done);
    done += bytesWritten;
  }
}

async function read(log: FileHandle, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await log.read(Buffer.alloc(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}

function inputError(reason: ErrorReason, dir: string, what: string): ProcmanError {
  const jobId = basename(dir);
  return new ProcmanError(reason, `the input of job ${jobId}: ${what}`, { jobId });
}
