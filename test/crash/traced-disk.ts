import { dirname } from "node:path";

/** A system call that has succeeded, as far as it is about files, or a signal. */
export type TracedCall =
  | { readonly name: "create"; readonly path: string; readonly truncates: boolean }
  | { readonly name: "write" | "sync" | "punch" | "mkdir" | "delete"; readonly path: string }
  | { readonly name: "rename"; readonly path: string; readonly to: string }
  | { readonly name: "kill"; readonly signal: string };

/** What strace(1) is to record for `parseTrace`. */
export const TRACED_CALLS =
  "openat write pwrite64 writev pwritev ftruncate fallocate fsync fdatasync rename renameat " +
  "renameat2 mkdir mkdirat unlink unlinkat rmdir kill";

/** The calls in what `strace -f -y` has recorded, in the order in which they came back. */
export function parseTrace(text: string): TracedCall[] {
  const begun = new Map<string, string>();
  return text.split("\n").flatMap((line) => {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const [, start] = /^(.*) <unfinished \.\.\.>$/.exec(rest) ?? [];
    if (start !== undefined) {
      begun.set(thread, start);
      return [];
    }
    const [, end] = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest) ?? [];
    return parseCall(end === undefined ? rest : `${begun.get(thread) ?? ""}${end}`);
  });
}

function parseCall(text: string): TracedCall[] {
  const [, name = "", args = ""] = /^(\w+)\((.*)\) += \d/.exec(text) ?? [];
  const paths = [...args.matchAll(/"([^"]*)"/g)].map((match) => match[1] as string);
  const [path = "", to = ""] = paths;
  const open = /^\d+<([^>]*)>/.exec(args)?.[1] ?? "";
  switch (name) {
    case "openat":
      if (!args.includes("O_CREAT")) return [];
      return [{ name: "create", path, truncates: args.includes("O_TRUNC") }];
    case "write":
    case "pwrite64":
    case "writev":
    case "pwritev":
    case "ftruncate":
      return [{ name: "write", path: open }];
    case "fallocate":
      return args.includes("FALLOC_FL_PUNCH_HOLE") ? [{ name: "punch", path: open }] : [];
    case "fsync":
    case "fdatasync":
      return [{ name: "sync", path: open }];
    case "rename":
    case "renameat":
    case "renameat2":
      return [{ name: "rename", path, to }];
    case "mkdir":
    case "mkdirat":
      return [{ name: "mkdir", path }];
    case "unlink":
    case "unlinkat":
    case "rmdir":
      return [{ name: "delete", path }];
    case "kill":
      return [{ name: "kill", signal: /, (SIG\w+)/.exec(args)?.[1] ?? "" }];
    default:
      return [];
  }
}

/**
 * What a power cut would leave of files, after the calls that were applied: of
 * what was written only what was synced since, of names only those in directories
 * that were synced since.
 */
export class TracedDisk {
  readonly #names = new Set<string>();
  /** Files with content that is not on disk. */
  readonly #unwritten = new Set<string>();
  /** Names that were given or taken, which is not on disk. */
  readonly #unnamed = new Set<string>();
  /** How often the content of each was written, under this name or those that it had before. */
  readonly #writes = new Map<string, number>();

  apply(call: TracedCall): void {
    switch (call.name) {
      case "create":
        if (!this.#names.has(call.path)) this.#name(call.path);
        else if (call.truncates) this.#unwritten.add(call.path);
        return;
      case "write":
        this.#unwritten.add(call.path);
        this.#writes.set(call.path, this.writesOf(call.path) + 1);
        return;
      case "sync":
        this.#unwritten.delete(call.path);
        for (const path of this.#unnamed) {
          if (dirname(path) === call.path) this.#unnamed.delete(path);
        }
        return;
      case "mkdir":
        return this.#name(call.path);
      case "delete":
        this.#names.delete(call.path);
        this.#unwritten.delete(call.path);
        this.#unnamed.add(call.path);
        return;
      case "rename":
        for (const paths of [this.#names, this.#unwritten, this.#unnamed]) {
          for (const path of [...paths].filter((each) => isWithin(each, call.path))) {
            paths.delete(path);
            paths.add(call.to + path.slice(call.path.length));
          }
        }
        for (const [path, count] of this.#writes) {
          if (!isWithin(path, call.path)) continue;
          const to = call.to + path.slice(call.path.length);
          this.#writes.delete(path);
          this.#writes.set(to, this.writesOf(to) + count);
        }
        this.#unnamed.add(call.path).add(call.to);
        return;
      case "punch":
      case "kill":
        return;
    }
  }

  /** What of a file, or of a directory and all that is in it, is not on disk. */
  missing(path: string): string[] {
    const within = (paths: Iterable<string>) => [...paths].filter((each) => isWithin(each, path));
    return [
      ...within(this.#unwritten).map((each) => `content of ${each}`),
      ...within(this.#unnamed).map((each) => `name ${each}`),
    ];
  }

  exists(path: string): boolean {
    return this.#names.has(path);
  }

  writesOf(path: string): number {
    return this.#writes.get(path) ?? 0;
  }

  #name(path: string): void {
    this.#names.add(path);
    this.#unnamed.add(path);
  }
}

function isWithin(path: string, dir: string): boolean {
  return path === dir || path.startsWith(`${dir}/`);
}
