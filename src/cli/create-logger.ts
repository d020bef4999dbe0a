import { type DestinationStream, type Logger, pino } from "pino";

/** Written at once, so that nothing is lost with the process. */
export function createLogger(level: string, destination: DestinationStream = stderr()): Logger {
  return pino(
    {
      level,
      base: { pid: process.pid },
      // Node puts a command's arguments on the errors of starting it. They may hold secrets.
      redact: { paths: ["err.spawnargs"], remove: true },
    },
    destination,
  );
}

function stderr(): DestinationStream {
  const destination = pino.destination({ dest: 2, sync: true });
  // A log that cannot be written is no reason to leave jobs alone.
  destination.on("error", () => {});
  return destination;
}
