import type { AttachEvent, OutputStart, WatchEvent } from "../contract/procman.js";
import type { Job, Stream } from "../contract/job.js";
import type { CallRunner, Connection } from "./call-runner.js";
import { decodeError, unreachable } from "../wire/error-map.js";
import { OutputCursor } from "./output-cursor.js";

type OutputEvent = AttachEvent | WatchEvent;

/** One of the calls that read output: Attach or Watch. */
export interface OutputSource<Message, Event> {
  /** The job that the caller asked for. From `opened` on its id is used. */
  readonly idOrName: string;
  /** The position at which the caller asked to begin. */
  readonly asked: OutputStart;
  open(id: string, start: OutputStart, signal: AbortSignal): AsyncIterable<Message>;
  /** Returns undefined for a message that is no event: a heartbeat. */
  decode(message: Message): Event | undefined;
  /** Finds where the tail that was asked for begins now; undefined when the stream is empty. */
  locateTail(id: string, stream: Stream, connection: Connection): Promise<number | undefined>;
  /** Returns the job as it is now. */
  job(id: string, signal: AbortSignal): Promise<Job>;
}

/**
 * Reads a job's output over as many connections as it takes: `opened` once, every byte
 * once, `ended` last.
 */
export function followOutput<Message, Event extends OutputEvent>(
  calls: CallRunner,
  signal: AbortSignal | undefined,
  source: OutputSource<Message, Event>,
): AsyncGenerator<Event, void, undefined> {
  const cursor = new OutputCursor(source.asked);
  let id = source.idOrName;
  let opened = false;
  let ended = false;

  return calls.resumed(signal, async function* (connection) {
    const start = await cursor.start((stream) => source.locateTail(id, stream, connection));
    try {
      for await (const message of connection.receive((signal) => source.open(id, start, signal))) {
        const event = source.decode(message);
        if (!event || (event.type === "opened" && opened)) continue;
        switch (event.type) {
          case "opened":
            opened = true;
            ({ id } = event.job);
            cursor.opened(event.job);
            break;
          case "chunk":
            cursor.advance(event.stream, event.offset + event.data.length);
            break;
          case "line":
            cursor.advance(event.stream, event.nextOffset);
            break;
          case "truncated":
            cursor.advance(event.stream, event.offset);
            break;
          case "searched":
            cursor.advance("stdout", event.stdoutOffset);
            cursor.advance("stderr", event.stderrOffset);
            break;
          case "ended":
            ended = true;
            break;
        }
        yield event;
      }
    } catch (error) {
      // After the last event nothing is missing.
      if (ended) return;
      if (!opened || !isOutOfRange(error, calls)) throw error;
      // The log was truncated while no server saw it.
      for (const truncation of cursor.clamp(await source.job(id, connection.signal))) {
        yield { type: "truncated", ...truncation } as Event;
      }
    }
    if (!ended) throw unreachable(calls.server, "a stream ended before its last event");
  });
}

function isOutOfRange(error: unknown, { server }: CallRunner): boolean {
  return decodeError(error, server).reason === "OFFSET_OUT_OF_RANGE";
}
