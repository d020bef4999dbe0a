import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { createFollowClient, type Target } from "./follow.js";

interface Order {
  readonly target: Target;
  /** The jobs to follow, each by one follower. */
  readonly ids: readonly string[];
}

/** Followers over gRPC, in a process of their own so as not to keep the one that measures busy. */
export class OtherFollowers {
  readonly #close: () => Promise<void>;

  private constructor(close: () => Promise<void>) {
    this.#close = close;
  }

  /** Resolves when all have opened. */
  static async start(target: Target, ids: readonly string[]): Promise<OtherFollowers> {
    const child = spawn(process.execPath, [fileURLToPath(import.meta.url)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    child.stdin.write(`${JSON.stringify({ target, ids } satisfies Order)}\n`);
    await Promise.race([
      once(child.stdout, "data"),
      exited.then(() => Promise.reject(new Error("the other followers ended"))),
    ]);
    return new OtherFollowers(async () => {
      child.stdin.end();
      await exited;
    });
  }

  close(): Promise<void> {
    return this.#close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // Ends with its input, which the other side's end closes too.
  process.stdin.once("end", () => process.exit(0));
  process.stdin.once("data", (data: Buffer) => {
    const { target, ids } = JSON.parse(data.toString()) as Order;
    const client = createFollowClient("gRPC, TCP", target);
    void Promise.all(ids.map((id) => client.follow(id, () => {}))).then(() => console.log("open"));
  });
}
