import { join } from "node:path";
import { buildGo, goIsMissing } from "../helpers/go-program.js";
import { buildJava, javaIsMissing } from "../helpers/java-program.js";
import { generatePython, PYTHON, pythonIsMissing } from "../helpers/python-stubs.js";
import type { ConformanceClient, Target, Way } from "./conformance-client.js";
import { driverClient, driverProcess } from "./driver-client.js";

const driver = (name: string) => join(import.meta.dirname, "drivers", name);

/** gRPC's implementation in another language, as far as this machine has it. */
export interface ForeignLanguage {
  readonly kind: string;
  /** What is not installed of it. */
  missing(): string | undefined;
  /** Compiles what it needs into a directory; returns how a client of it is made. */
  prepare(dir: string): Promise<(target: Target) => ConformanceClient>;
  readonly ways: readonly Way[];
}

export const FOREIGN_LANGUAGES: readonly ForeignLanguage[] = [
  {
    kind: "Python grpcio",
    missing: pythonIsMissing,
    ways: ["TCP", "unix socket", "TLS", "mTLS"],
    async prepare(dir) {
      const env = { ...(await generatePython(dir)), PYTHONUNBUFFERED: "1" };
      return (target) =>
        driverClient(this.kind, target, driverProcess([PYTHON, driver("driver.py")], target, env));
    },
  },
  {
    kind: "Go grpc-go",
    missing: goIsMissing,
    ways: ["TCP", "unix socket", "TLS", "mTLS"],
    async prepare(dir) {
      const program = await buildGo(driver("driver.go"), dir);
      return (target) => driverClient(this.kind, target, driverProcess([program], target));
    },
  },
  {
    kind: "Java grpc-java",
    missing: javaIsMissing,
    // Debian's Netty has neither native sockets nor ALPN, which gRPC needs over TLS.
    ways: ["TCP"],
    async prepare(dir) {
      const words = await buildJava(driver("Driver.java"), dir);
      return (target) => driverClient(this.kind, target, driverProcess(words, target));
    },
  },
];
