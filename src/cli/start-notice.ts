/*
 * What a server says on stdout where it listens on less than it was to. One that runs in
 * the background says it to its log, from where the command that started it repeats it.
 */

const NOTICE = /^procman (listens on .* alone: .*)$/m;

export function portTakenNotice(port: number, socketPath: string): string {
  return (
    `procman listens on ${socketPath} alone: port ${port} is in use by another process ` +
    `(PROCMAN_LISTEN can name another address, or "none")`
  );
}

/** Returns such a notice as a sentence about the server; undefined where there is none. */
export function findStartNotice(log: string): string | undefined {
  const notice = NOTICE.exec(log)?.[1];
  return notice && `the server ${notice}`;
}

/** What a server cannot know itself: who started it. */
export function nicenessNotice(niceness: number): string {
  return (
    `the server runs with this shell's niceness of ${niceness}, which it may not lower, and so ` +
    `do its jobs. To have others, end it ("procman stop") and start it from another shell`
  );
}
