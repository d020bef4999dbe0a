import { statSync } from "node:fs";
import { type FileHandle, open, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crashPoint } from "../../../platform/crash-point.js";
import { type ErrorReason, fromSystemError, ProcmanError } from "../../../contract/errors.js";
import type { InputPiece } from "../../../core/ports.js";
import { abortable } from "../../../platform/abort-signals.js";
import { fedBytes, isFeeding, ringFeeder } from "./input-feeder.js";
import { InputSenders } from "./input-senders.js";
import { readExitRecord } from "../runner/job-files.js";

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

const NOTHING = new Uint8Array();

export interface JobInputsOptions {
  /** How long a call waits for room. Default 5000. */
  readonly roomCeilingMs?: number;
}

/**
 * Adds to jobs' input. The truth is stdin.log: what is in it was taken. So a server
 * that dies at any moment has taken a piece, a part of it or none, and what it has
 * answered for comes to the command without it.
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
   * @returns the sender's next offset.
   * @throws ProcmanError; the signal's reason
   */
  send(dir: string, piece: InputPiece, isTerminal: boolean, signal: AbortSignal): Promise<number> {
    const patience = { until: performance.now() + this.#roomCeilingMs, signal };
    const take = () => takePiece(dir, piece, isTerminal, patience);
    const changesNothing = piece.data.length === 0 && !piece.close;
    return abortable(changesNothing ? take() : this.#inTurn(dir, take), signal);
  }

  #inTurn<T>(dir: string, take: () => Promise<T>): Promise<T> {
    const taking = (this.#last.get(dir) ?? Promise.resolve()).then(take);
    const settled = taking.catch(() => {});
    this.#last.set(dir, settled);
    void settled.then(() => {
      if (this.#last.get(dir) === settled) this.#last.delete(dir);
    });
    return taking;
  }
}

/** How long to wait for room. */
interface Patience {
  /** As of performance.now(). */
  readonly until: number;
  readonly signal: AbortSignal;
}

async function takePiece(
  dir: string,
  { sender, offset, data, close }: InputPiece,
  isTerminal: boolean,
  patience: Patience,
): Promise<number> {
  patience.signal.throwIfAborted();
  try {
    const log = await open(join(dir, "stdin.log"), "r+");
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
        await awaitRoom(dir, log, patience);
      }
      const { logBytes } = senders;
      const end = isTerminal && closes ? await endOfLine(log, rest, logBytes) : NOTHING;
      if (rest.length + end.length > 0) {
        await senders.expect({ sender, dataBytes: rest.length, endBytes: end.length });
        crashPoint("input:expected");
        await append(dir, log, Buffer.concat([rest, end]), logBytes);
        crashPoint("input:appended");
      }
      if (close) await writeFile(join(dir, "stdin.closed"), "", { mode: 0o600 });
      crashPoint("input:before-ring");
      // Also for what was there before: its server may have died before it rang.
      await ringFeeder(dir);
      return taken + rest.length;
    } finally {
      await log.close();
    }
  } catch (error) {
    if (patience.signal.aborted) throw error;
    throw fromSystemError(error, `add to the input of job ${basename(dir)}`, basename(dir));
  }
}

/** Waits until the command has read most of what there is. */
async function awaitRoom(dir: string, log: FileHandle, { until, signal }: Patience): Promise<void> {
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const stats = await log.stat();
    const backlogBytes = stats.size - (fedBytes(dir, stats) ?? stats.size);
    if (backlogBytes < MAX_BACKLOG_BYTES) return;
    const leftMs = until - performance.now();
    if (leftMs <= 0) {
      const message = `its command has not read ${backlogBytes} bytes of it yet`;
      throw inputError("INPUT_BACKLOG", dir, message);
    }
    await sleep(Math.min(pauseMs, leftMs), undefined, { signal });
    await checkFed(dir);
  }
}

/** What ends the data on a terminal: Ctrl-D, which within a line only ends that. */
async function endOfLine(log: FileHandle, data: Uint8Array, logBytes: number): Promise<Uint8Array> {
  const last = data.at(-1) ?? (logBytes === 0 ? NEWLINE : await byteAt(log, logBytes - 1));
  const lineBegins = last === NEWLINE || last === RETURN || last === END_OF_FILE;
  return Buffer.alloc(lineBegins ? 1 : 2, END_OF_FILE);
}

async function checkFed(dir: string): Promise<void> {
  if (!(await isFeeding(dir)) || readExitRecord(dir)) {
    throw inputError("INPUT_NOT_OPEN", dir, "nobody reads it any more");
  }
}

function checkLength(dir: string, lengthBytes: number, isTerminal: boolean): void {
  const limitBytes = isTerminal ? MAX_TERMINAL_INPUT_BYTES : MAX_INPUT_BYTES;
  if (lengthBytes <= limitBytes) return;
  throw inputError("INPUT_LIMIT", dir, `it would have more than ${limitBytes} bytes in all`);
}

function isClosed(dir: string): boolean {
  return statSync(join(dir, "stdin.closed"), { throwIfNoEntry: false }) !== undefined;
}

async function append(
  dir: string,
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
    const attempt = `add to the input of job ${basename(dir)}, after ${done} bytes were taken`;
    throw fromSystemError(error, attempt, basename(dir));
  }
}

async function byteAt(log: FileHandle, offset: number): Promise<number | undefined> {
  const { buffer, bytesRead } = await log.read(Buffer.alloc(1), 0, 1, offset);
  return bytesRead === 1 ? buffer[0] : undefined;
}

function inputError(reason: ErrorReason, dir: string, what: string): ProcmanError {
  const jobId = basename(dir);
  return new ProcmanError(reason, `the input of job ${jobId}: ${what}`, { jobId });
}
