import { execFileSync } from "node:child_process";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";

/** A system call that has succeeded, as far as it is about files, or a signal. */
export type TracedCall =
  | {
      readonly name: "open";
      readonly path: string;
      readonly creates: boolean;
      readonly truncates: boolean;
      readonly appends: boolean;
    }
  | {
      readonly name: "write";
      readonly path: string;
      readonly data: Buffer;
      /** Undefined: where the last write to it ended. */
      readonly offset: number | undefined;
    }
  | { readonly name: "resize"; readonly path: string; readonly bytes: number }
  | { readonly name: "punch" | "mkdir" | "mkfifo" | "delete"; readonly path: string }
  /** Of a file or directory, or of all where it has no path. What is written meanwhile may be left out. */
  | { readonly name: "sync-begun" | "synced"; readonly thread: string; readonly path?: string }
  | { readonly name: "rename"; readonly path: string; readonly to: string }
  | { readonly name: "kill"; readonly signal: string };

/** What strace(1) is to record for `parseTrace`. */
export const TRACED_CALLS =
  "openat write pwrite64 writev pwritev ftruncate fallocate fsync fdatasync syncfs rename renameat " +
  "renameat2 mkdir mkdirat mknod mknodat unlink unlinkat rmdir kill";

/** The calls in what `strace -f -y` has recorded, in the order in which they came back. */
export function parseTrace(text: string): TracedCall[] {
  const begun = new Map<string, string>();
  return text.split("\n").flatMap((line) => {
    const [, thread = "", rest = ""] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const [, start] = /^(.*) <unfinished \.\.\.>$/.exec(rest) ?? [];
    if (start !== undefined) {
      const early = parseCall(`${start}) = 0`).filter((call) => isSeenEarly(call, start));
      begun.set(thread, early.length > 0 ? "" : start);
      if (early.length > 0) return early;
      return parseSync(start).map((sync) => ({ name: "sync-begun", thread, ...sync }));
    }
    const [, end] = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest) ?? [];
    const whole = end === undefined ? rest : `${begun.get(thread) ?? ""}${end}`;
    return parseCall(whole).flatMap((call): TracedCall[] => {
      if (call.name !== "synced") return [call];
      const synced = { ...call, thread };
      return end === undefined ? [{ ...synced, name: "sync-begun" }, synced] : [synced];
    });
  });
}

/**
 * Whether others may have seen what a call did before it came back, in another process: a
 * server reads and syncs what a runner writes.
 */
function isSeenEarly(call: TracedCall, text: string): boolean {
  return call.name === "write" && text.includes('"') && !call.path.includes("/journal/");
}

function parseSync(text: string): { path?: string }[] {
  const [, name = "", path = ""] = /^(fsync|fdatasync|syncfs)\(\d+<([^>]*)>/.exec(text) ?? [];
  if (name === "") return [];
  return name === "syncfs" ? [{}] : [{ path }];
}

const STRING = /"((?:[^"\\]|\\.)*)"/g;

function parseCall(text: string): TracedCall[] {
  const [, name = "", args = ""] = /^(\w+)\((.*)\) += \d/.exec(text) ?? [];
  const strings = [...args.matchAll(STRING)].map((match) => unescape(match[1] as string));
  const open = /^\d+<([^>]*)>/.exec(args)?.[1] ?? "";
  /** Within an open directory, where it is relative. */
  const pathAt = (index: number) => {
    const path = (strings[index] ?? "").toString();
    return open === "" || isAbsolute(path) ? path : join(open, path);
  };
  const last = Number(/, (\d+)$/.exec(args)?.[1]);
  switch (name) {
    case "openat": {
      if (!/O_WRONLY|O_RDWR/.test(args)) return [];
      const has = (flag: string) => args.includes(flag);
      const [creates, truncates] = [has("O_CREAT"), has("O_TRUNC")];
      return [{ name: "open", path: pathAt(0), creates, truncates, appends: has("O_APPEND") }];
    }
    case "write":
    case "writev":
      return [{ name: "write", path: open, data: Buffer.concat(strings), offset: undefined }];
    case "pwrite64":
    case "pwritev":
      return [{ name: "write", path: open, data: Buffer.concat(strings), offset: last }];
    case "ftruncate":
      return [{ name: "resize", path: open, bytes: last }];
    case "fallocate":
      return args.includes("FALLOC_FL_PUNCH_HOLE") ? [{ name: "punch", path: open }] : [];
    case "fsync":
    case "fdatasync":
    case "syncfs":
      return parseSync(text).map((sync) => ({ name: "synced", thread: "", ...sync }));
    case "rename":
    case "renameat":
    case "renameat2":
      return [{ name: "rename", path: pathAt(0), to: pathAt(1) }];
    case "mkdir":
    case "mkdirat":
      return [{ name: "mkdir", path: pathAt(0) }];
    case "mknod":
    case "mknodat":
      return args.includes("S_IFIFO") ? [{ name: "mkfifo", path: pathAt(0) }] : [];
    case "unlink":
    case "unlinkat":
    case "rmdir":
      return [{ name: "delete", path: pathAt(0) }];
    case "kill":
      return [{ name: "kill", signal: /, (SIG\w+)/.exec(args)?.[1] ?? "" }];
    default:
      return [];
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", r: "\r", v: "\v", f: "\f" };

function unescape(text: string): Buffer {
  const plain = text.replaceAll(/\\([0-7]{1,3}|.)/g, (_, code: string) =>
    /^[0-7]/.test(code) ? String.fromCodePoint(Number.parseInt(code, 8)) : (ESCAPES[code] ?? code),
  );
  return Buffer.from(plain, "latin1");
}

interface File {
  readonly kind: "file";
  content: Buffer;
  /** What a power cut leaves of it; undefined where it was never synced. */
  synced: Buffer | undefined;
}

interface Dir {
  readonly kind: "dir";
  entries: Map<string, Inode>;
  /** The names that a power cut leaves in it. */
  synced: Map<string, Inode>;
}

interface Fifo {
  readonly kind: "fifo";
}

type Inode = File | Dir | Fifo;

/** What a power cut takes of what was not synced. It takes any part: these are the extremes. */
export type Loss =
  /** Names in directories, and contents of files. */
  | "names-and-contents"
  /** Contents only: names come to the disk first, as on some file systems. */
  | "contents";

/** A directory after the calls that were applied, and what a power cut would leave of it. */
export class TracedDisk {
  readonly #root: string;
  readonly #top: Dir = newDir();
  /** Where the next write goes, of files that are open. */
  readonly #positions = new Map<string, number>();
  /** What is kept once the sync of a thread is over. */
  readonly #syncs = new Map<string, readonly (() => void)[]>();

  /** @param root is there, and empty */
  constructor(root: string) {
    this.#root = root;
  }

  apply(call: TracedCall): void {
    switch (call.name) {
      case "open": {
        const isNew = call.creates && !this.#inode(call.path);
        const file = isNew ? this.#create(call.path) : this.#file(call.path);
        if (!file) return;
        if (call.truncates) file.content = Buffer.alloc(0);
        this.#positions.set(call.path, call.appends ? file.content.length : 0);
        return;
      }
      case "write": {
        const file = this.#file(call.path);
        if (!file) return;
        const at = call.offset ?? this.#positions.get(call.path) ?? 0;
        const end = at + call.data.length;
        const content = Buffer.alloc(Math.max(file.content.length, end));
        file.content.copy(content);
        call.data.copy(content, at);
        file.content = content;
        if (call.offset === undefined) this.#positions.set(call.path, end);
        return;
      }
      case "resize": {
        const file = this.#file(call.path);
        if (file) file.content = Buffer.concat([file.content], call.bytes);
        return;
      }
      case "sync-begun": {
        const inode = call.path === undefined ? this.#top : this.#inode(call.path);
        if (!inode) return;
        this.#syncs.set(call.thread, call.path === undefined ? allWithin(inode) : [seen(inode)]);
        return;
      }
      case "synced":
        for (const keep of this.#syncs.get(call.thread) ?? []) keep();
        this.#syncs.delete(call.thread);
        return;
      case "mkdir":
        this.#parent(call.path)?.entries.set(basename(call.path), newDir());
        return;
      case "mkfifo":
        this.#parent(call.path)?.entries.set(basename(call.path), { kind: "fifo" });
        return;
      case "delete":
        this.#parent(call.path)?.entries.delete(basename(call.path));
        return;
      case "rename": {
        const inode = this.#inode(call.path);
        if (!inode) return;
        this.#parent(call.path)?.entries.delete(basename(call.path));
        this.#parent(call.to)?.entries.set(basename(call.to), inode);
        return;
      }
      case "punch":
      case "kill":
        return;
    }
  }

  /** What a power cut would leave of a file's content, if it leaves the name. */
  contentAfterCut(path: string): string | undefined {
    return this.#file(path)?.synced?.toString();
  }

  /** Writes what a power cut would leave into a new directory. */
  writeAfterCut(to: string, loss: Loss): void {
    writeInode(this.#top, to, loss);
  }

  #create(path: string): File | undefined {
    const file: File = { kind: "file", content: Buffer.alloc(0), synced: undefined };
    const parent = this.#parent(path);
    parent?.entries.set(basename(path), file);
    return parent && file;
  }

  #file(path: string): File | undefined {
    const inode = this.#inode(path);
    return inode?.kind === "file" ? inode : undefined;
  }

  #parent(path: string): Dir | undefined {
    const inode = this.#inode(dirname(path));
    return inode?.kind === "dir" ? inode : undefined;
  }

  #inode(path: string): Inode | undefined {
    if (path === this.#root) return this.#top;
    if (!path.startsWith(`${this.#root}/`)) return undefined;
    let inode: Inode | undefined = this.#top;
    for (const name of path.slice(this.#root.length + 1).split("/")) {
      inode = inode?.kind === "dir" ? inode.entries.get(name) : undefined;
    }
    return inode;
  }
}

function newDir(): Dir {
  return { kind: "dir", entries: new Map(), synced: new Map() };
}

/** Returns what keeps an inode as it is now. */
function seen(inode: Inode): () => void {
  switch (inode.kind) {
    case "file": {
      const { content } = inode;
      return () => (inode.synced = content);
    }
    case "dir": {
      const entries = new Map(inode.entries);
      return () => (inode.synced = entries);
    }
    case "fifo":
      return () => {};
  }
}

function allWithin(inode: Inode): (() => void)[] {
  const within = inode.kind === "dir" ? [...inode.entries.values()].flatMap(allWithin) : [];
  return [seen(inode), ...within];
}

/** Writes a file without the zeros at its end, which it has all the same. */
function writeSparse(path: string, content: Buffer): void {
  let end = content.length;
  while (end > 0 && content[end - 1] === 0) end -= 1;
  writeFileSync(path, content.subarray(0, end), { mode: 0o600 });
  if (end < content.length) truncateSync(path, content.length);
}

function writeInode(inode: Inode, path: string, loss: Loss): void {
  if (inode.kind === "file") return writeSparse(path, inode.synced ?? Buffer.alloc(0));
  if (inode.kind === "fifo") return void execFileSync("mkfifo", [path]);
  mkdirSync(path, { recursive: true, mode: 0o700 });
  for (const [name, each] of loss === "contents" ? inode.entries : inode.synced) {
    writeInode(each, join(path, name), loss);
  }
}
