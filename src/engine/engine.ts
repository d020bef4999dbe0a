import type { Engine } from "../core/ports.js";
import { LocalEngine } from "./local/local-engine.js";

export type { Engine } from "../core/ports.js";

/** The engines there are. A cluster scheduler will stand beside "local". */
export type EngineKind = "local";

export interface EngineOptions {
  /** How often to look where the kernel does not tell. */
  readonly pollIntervalMs: number;
}

/** Opens the engine that runs a state directory's jobs. */
export function openEngine(kind: EngineKind, options: EngineOptions): Engine {
  switch (kind) {
    case "local":
      return new LocalEngine(options);
  }
}
