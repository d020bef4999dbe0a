import type { JsonObject } from "@bufbuild/protobuf";
import { CallError } from "./call-error.js";
import type { CallOptions, ConformanceClient, Method } from "./conformance-client.js";
import type { Scenario } from "./scenarios/scenario.js";
import { IS_ROOT, type Stage } from "./stage.js";

/** One that waits for ever is named, and the others go on. */
const CEILING_MS = 200_000;

/** What is told of a client in a scenario. */
export type Verdict = "✓" | "–" | "**no**";

/** A client on its stage, and what it was seen to do there. */
export class Member {
  readonly client: ConformanceClient;
  readonly stage: Stage;
  readonly methods = new Set<Method>();
  readonly reasons = new Set<string>();
  readonly verdicts = new Map<Scenario, Verdict>();

  constructor(client: ConformanceClient, stage: Stage) {
    this.client = client;
    this.stage = stage;
  }

  get name(): string {
    return `${this.client.kind} over ${this.client.over}`;
  }

  canRun({ needs, needsRoot }: Scenario): boolean {
    return (needs === undefined || !this.client.lacks.has(needs)) && (IS_ROOT || !needsRoot);
  }

  /** @returns how it failed, where it did. */
  async run(scenario: Scenario): Promise<Error | undefined> {
    try {
      await withinCeiling(scenario.run(this.#recorded(), this.stage));
      this.verdicts.set(scenario, "✓");
      return undefined;
    } catch (cause) {
      this.verdicts.set(scenario, "**no**");
      return new Error(`${this.name}: ${(cause as Error).message}`, { cause });
    } finally {
      this.stage.leave();
    }
  }

  #recorded(): ConformanceClient {
    const { client } = this;
    const note = (error: unknown): never => {
      if (error instanceof CallError && error.reason !== undefined) this.reasons.add(error.reason);
      throw error;
    };
    const stream = async function* (
      this: Member,
      ...args: [Method, JsonObject, CallOptions?]
    ): AsyncGenerator<JsonObject> {
      this.methods.add(args[0]);
      try {
        yield* client.stream(...args);
      } catch (error) {
        note(error);
      }
    };
    return {
      ...client,
      call: (method, request, options) => {
        this.methods.add(method);
        return client.call(method, request, options).catch(note);
      },
      stream: stream.bind(this),
    };
  }
}

async function withinCeiling(run: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const ceiling = new Promise<never>((_, reject) => {
    const error = new Error(`has not ended after ${CEILING_MS} ms`);
    timer = setTimeout(() => reject(error), CEILING_MS);
  });
  try {
    await Promise.race([run, ceiling]);
  } finally {
    clearTimeout(timer);
  }
}
