import { statSync } from "node:fs";
import { type FileHandle, open, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type ErrorReason, fromSystemError, ProcmanError } from "../../../contract/errors.js";
import type { JobDir } from "../../../core/job-dir.js";
import type { InputPiece } from "../../../core/ports.js";
import { abortable } from "../../../platform/abort-signals.js";
import { crashPoint } from "../../../platform/crash-point.js";
import { SerialQueue } from "../../../platform/serial-queue.js";
import { readExitRecord } from "../runner/runner-records.js";
import { fedBytes, isFeeding, ringFeeder } from "./input-feeder.js";
import { InputSenders } from "./input-senders.js";
import { READ_WRITE } from "../../../platform/small-file.js";

/** The most input a job can get in all: it stays on disk until the job is removed. */
const MAX_INPUT_BYTES = 16 * 1024 ** 3;
/** The same with a terminal: script(1) holds unread input in memory. */
const MAX_TERMINAL_INPUT_BYTES = 64 * 1024 ** 2;
/** The most unread input that still leaves room for more. */
const MAX_BACKLOG_BYTES = 1024 ** 2;
const DEFAULT_ROOM_TIMEOUT_MS = 5000;
const MAX_BACKOFF_MS = 200;

/** The character that Ctrl-D types. */
const END_OF_FILE = 4;
const NEWLINE = 10;
const RETURN = 13;

const NO_BYTES = new Uint8Array();

export interface JobInputOptions {
  /** How long a call waits until the command has read enough. Default 5000. */
  readonly roomTimeoutMs?: number;
}

/**
 * Adds to a job's input. A byte is accepted once it is in stdin.log. A server that dies
 * has accepted all of a piece, a part of it or nothing, and what it has acknowledged
 * reaches the command without it.
 */
export class JobInput {
  readonly #dir: JobDir;
  readonly #roomTimeoutMs: number;
  /** Adds pieces one after another. */
  readonly #pieces = new SerialQueue();

  constructor(dir: JobDir, { roomTimeoutMs = DEFAULT_ROOM_TIMEOUT_MS }: JobInputOptions = {}) {
    this.#dir = dir;
    this.#roomTimeoutMs = roomTimeoutMs;
  }

  /**
   * Adds a piece, after those before it.
   * @returns the sender's next offset
   * @throws ProcmanError; the signal's reason
   */
  send(piece: InputPiece, isTerminal: boolean, signal: AbortSignal): Promise<number> {
    const wait = { untilMs: performance.now() + this.#roomTimeoutMs, signal };
    const add = () => addPiece(this.#dir, piece, isTerminal, wait);
    const changesNothing = piece.data.length === 0 && !piece.close;
    return abortable(changesNothing ? add() : this.#pieces.run(add), signal);
  }

  /** Resolves when no piece is being added any more. */
  async close(): Promise<void> {
    await this.#pieces.idle();
  }
}

/** How long a piece may wait until the command has read enough. */
interface RoomWait {
  /** In the time of performance.now(). */
  readonly untilMs: number;
  readonly signal: AbortSignal;
}

async function addPiece(
  dir: JobDir,
  { sender, offset, data, close }: InputPiece,
  isTerminal: boolean,
  wait: RoomWait,
): Promise<number> {
  wait.signal.throwIfAborted();
  try {
    const log = await open(dir.input, READ_WRITE);
    try {
      const senders = await InputSenders.read(dir, log);
      const accepted = senders.acceptedOf(sender);
      const at = offset ?? accepted;
      if (at > accepted) {
        const message = `of sender ${JSON.stringify(sender)} it has ${accepted} bytes, not ${at}`;
        throw inputError("OFFSET_OUT_OF_RANGE", dir, message);
      }
      const rest = data.subarray(accepted - at);
      // A server that died may have ended a terminal's input and not recorded that it is closed.
      const wasClosed = isClosed(dir) || senders.hasEnd;
      const closes = close && !wasClosed;
      if (rest.length > 0 && wasClosed) throw inputError("INPUT_NOT_OPEN", dir, "it is closed");
      if (rest.length > 0 || closes) await checkFed(dir);
      if (rest.length > 0) {
        checkLength(dir, senders.logBytes + rest.length, isTerminal);
        await awaitRoom(dir, log, wait);
      }
      const { logBytes } = senders;
      const end = isTerminal && closes ? await endOfLine(log, rest, logBytes) : NO_BYTES;
      if (rest.length + end.length > 0) {
        await senders.expect({ sender, dataBytes: rest.length, endBytes: end.length });
        crashPoint("input:expected");
        await append(dir, log, Buffer.concat([rest, end]), logBytes);
        crashPoint("input:appended");
      }
      if (close) await writeFile(dir.inputClosed, "", { mode: 0o600 });
      crashPoint("input:before-ring");
      // Even without new bytes: a server may have died before it rang for the last ones.
      await ringFeeder(dir);
      return accepted + rest.length;
    } finally {
      await log.close();
    }
  } catch (error) {
    if (wait.signal.aborted) throw error;
    throw fromSystemError(error, `add to the input of job ${dir.jobId}`, dir.jobId);
  }
}

/** Waits until the unread input is below MAX_BACKLOG_BYTES. */
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

/** Returns what ends a terminal's input: Ctrl-D, and one more within a line, to end that first. */
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
    // The command may have read these bytes already, so they cannot be removed again.
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
