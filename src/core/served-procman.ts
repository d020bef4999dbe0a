import type { AttachEvent, AttachOptions, Procman } from "../contract/procman.js";

/** What the server serves: a Procman in its own process, which can lend it a chunk's memory. */
export interface ServedProcman extends Procman {
  attach(id: string, options?: AttachOptions, memory?: ChunkMemory): AsyncIterable<AttachEvent>;
}

export interface ChunkMemory {
  /**
   * The caller passes a chunk's data on before it asks for the next event, and
   * keeps none: its memory may then be written over, which makes much output
   * cheaper to read. Default false: the data is the caller's to keep.
   */
  readonly transientData?: boolean;
}
