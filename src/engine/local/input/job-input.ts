import { statSync } from "node:fs";
import { type FileHandle, open, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobDir } from "../../../core/job-dir.js";
import { crashPoint } from "../../../platform/crash-point.js";
import { type ErrorReason, fromSystemError, ProcmanError } from "../../../contract/errors.js";
import type { InputPiece } from "../../../core/ports.js";
import { abortable } from "../../../platform/abort-signals.js";
import { SerialQueue } from "../../../platform/serial-queue.js";
import { fedBytes, isFeeding, ringFeeder } from "./input-feeder.js";
import { InputSenders } from "./input-senders.js";
import { readExitRecord } from "../runner/runner-records.js";

/** All that one job can have: it stays on disk until the job is removed. */
const MAX_INPUT_BYTES = 16 * 1024 ** 3;
/** All that a terminal can have: script(1) holds in memory what is not read. */
const MAX_TERMINAL_INPUT_BYTES = 64 * 1024 ** 2;
/** With so much that the command has not read there is no room for more. */
const MAX_BACKLOG_BYTES = 1024 ** 2;
const DEFAULT_ROOM_TIMEOUT_MS = 5000;
const MAX_BACKOFF_MS = 200;

/** What Ctrl-D types. */
const END_OF_FILE = 4;
const NEWLINE = 10;
const RETURN = 13;

const NOTHING = new Uint8Array();

export interface JobInputOptions {
  /** How long a call waits for room. Default 5000. */
  readonly roomTimeoutMs?: number;
}

/**
 * Adds to a job's input. The truth is stdin.log: what is in it was taken. So a server
 * that dies at any moment has taken a piece, a part of it or none, and what it has
 * answered for comes to the command without it.
 */
export class JobInput {
  readonly #dir: JobDir;
  readonly #roomTimeoutMs: number;
  /** Takes pieces one after another. */
  readonly #pieces = new SerialQueue();

  constructor(dir: JobDir, { roomTimeoutMs = DEFAULT_ROOM_TIMEOUT_MS }: JobInputOptions = {}) {
    this.#dir = dir;
    this.#roomTimeoutMs = roomTimeoutMs;
  }

  /**
   * Takes a piece, after those before it.
   * @returns the sender's next offset.
   * @throws ProcmanError; the signal's reason
   */
  send(piece: InputPiece, isTerminal: boolean, signal: AbortSignal): Promise<number> {
    const wait = { untilMs: performance.now() + this.#roomTimeoutMs, signal };
    const take = () => takePiece(this.#dir, piece, isTerminal, wait);
    const changesNothing = piece.data.length === 0 && !piece.close;
    return abortable(changesNothing ? take() : this.#pieces.run(take), signal);
  }

  /** Resolves when no piece is being taken any more. */
  async close(): Promise<void> {
    await this.#pieces.idle();
  }
}

/** How long a piece may wait for room. */
interface RoomWait {
  /** As of performance.now(). */
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

async function takePiece(
  dir: JobDir,
  { sender, offset, data, close }: InputPiece,
  isTerminal: boolean,
  wait: RoomWait,
): Promise<number> {
  wait.signal.throwIfAborted();
  try {
    const log = await open(dir.input, "r+");
    try {
      const senders = await InputSenders.read(dir, log);
      const taken = senders.takenOf(sender);
      const at = offset ?? taken;
      if (at > taken) {
        const message = `of sender ${JSON.stringify(sender)} it has ${taken} bytes, not ${at}`;
        throw inputError("OFFSET_OUT_OF_RANGE", dir, message);
      }
      const rest = data.subarray(taken - at);
      // Once a terminal has its end it is not given another, whether or not this was noted.
      const wasClosed = isClosed(dir) || senders.endIsTaken;
      const closes = close && !wasClosed;
      if (rest.length > 0 && wasClosed) throw inputError("INPUT_NOT_OPEN", dir, "it is closed");
      if (rest.length > 0 || closes) await checkFed(dir);
      if (rest.length > 0) {
        checkLength(dir, senders.logBytes + rest.length, isTerminal);
        await awaitRoom(dir, log, wait);
      }
      const { logBytes } = senders;
      const end = isTerminal && closes ? await endOfLine(log, rest, logBytes) : NOTHING;
      if (rest.length + end.length > 0) {
        await senders.expect({ sender, dataBytes: rest.length, endBytes: end.length });
        crashPoint("input:expected");
        await append(dir, log, Buffer.concat([rest, end]), logBytes);
        crashPoint("input:appended");
      }
      if (close) await writeFile(dir.inputClosed, "", { mode: 0o600 });
      crashPoint("input:before-ring");
      // Also for what was there before: its server may have died before it rang.
      await ringFeeder(dir);
      return taken + rest.length;
    } finally {
      await log.close();
    }
  } catch (error) {
    if (wait.signal.aborted) throw error;
    throw fromSystemError(error, `add to the input of job ${dir.jobId}`, dir.jobId);
  }
}

/** Waits until the command has read most of what there is. */
async function awaitRoom(
  dir: JobDir,
  log: FileHandle,
  { untilMs, signal }: RoomWait,
): Promise<void> {
  for (let backoffMs = 1; ; backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS)) {
    const stats = await log.stat();
    const backlogBytes = stats.size - (fedBytes(dir, stats) ?? stats.size);
    if (backlogBytes < MAX_BACKLOG_BYTES) return;
    const leftMs = untilMs - performance.now();
    if (leftMs <= 0) {
      const message = `its command has not read ${backlogBytes} bytes of it yet`;
      throw inputError("INPUT_BACKLOG", dir, message);
    }
    await sleep(Math.min(backoffMs, leftMs), undefined, { signal });
    await checkFed(dir);
  }
}

/** What ends the data on a terminal: Ctrl-D, which within a line only ends that. */
async function endOfLine(log: FileHandle, data: Uint8Array, logBytes: number): Promise<Uint8Array> {
  const last = data.at(-1) ?? (logBytes === 0 ? NEWLINE : await byteAt(log, logBytes - 1));
  const lineBegins = last === NEWLINE || last === RETURN || last === END_OF_FILE;
  return Buffer.alloc(lineBegins ? 1 : 2, END_OF_FILE);
}

async function checkFed(dir: JobDir): Promise<void> {
  if (!(await isFeeding(dir)) || readExitRecord(dir.exit)) {
    throw inputError("INPUT_NOT_OPEN", dir, "nobody reads it any more");
  }
}

function checkLength(dir: JobDir, lengthBytes: number, isTerminal: boolean): void {
  const limitBytes = isTerminal ? MAX_TERMINAL_INPUT_BYTES : MAX_INPUT_BYTES;
  if (lengthBytes <= limitBytes) return;
  throw inputError("INPUT_LIMIT", dir, `it would have more than ${limitBytes} bytes in all`);
}

function isClosed(dir: JobDir): boolean {
  return statSync(dir.inputClosed, { throwIfNoEntry: false }) !== undefined;
}

async function append(
  dir: JobDir,
  log: FileHandle,
  data: Uint8Array,
  offset: number,
): Promise<void> {
  let done = 0;
  try {
    while (done < data.length) {
      const { bytesWritten } = await log.write(data, done, data.length - done, offset + done);
      done += bytesWritten;
    }
  } catch (error) {
    // They may have been read already, so they cannot be taken back.
    const attempt = `add to the input of job ${dir.jobId}, after ${done} bytes were taken`;
    throw fromSystemError(error, attempt, dir.jobId);
  }
}

async function byteAt(log: FileHandle, offset: number): Promise<number | undefined> {
  const { buffer, bytesRead } = await log.read(Buffer.alloc(1), 0, 1, offset);
  return bytesRead === 1 ? buffer[0] : undefined;
}

function inputError(reason: ErrorReason, dir: JobDir, what: string): ProcmanError {
  const jobId = dir.jobId;
  return new ProcmanError(reason, `the input of job ${jobId}: ${what}`, { jobId });
}
