import { InvalidArgumentError, Option } from "commander";

/** Leaves a terminal without ending what runs in it. */
export interface DetachKey {
  /** As a person would say it: "Ctrl-]". */
  readonly name: string;
  /** Where in what was typed it is; -1 where it is not. */
  findIn(keys: Uint8Array): number;
}

/** Ctrl, alone or with Caps Lock, Num Lock or both, as terminals tell. */
const CONTROL = "(?:5|69|133|197)";

/** "ctrl-]". @throws InvalidArgumentError, to which commander adds the option's name */
export function parseDetachKey(text: string): DetachKey {
  const key = /^(?:ctrl-|\^)([a-z[\]\\^_@])$/i.exec(text.trim())?.[1]?.toLowerCase();
  if (key === undefined) {
    throw new InvalidArgumentError('Give a letter or one of @[\\]^_ with "ctrl-": "ctrl-]".');
  }
  if (key === "[") {
    throw new InvalidArgumentError("Ctrl-[ is Escape, with which every arrow key begins.");
  }
  const byte = String.fromCharCode(key.toUpperCase().charCodeAt(0) & 0x1f);
  const code = key.charCodeAt(0);
  // Programs may have had the terminal spell keys out: as kitty does, and as xterm does.
  const kitty = `\u001b\\[${code}(?::\\d*)*;${CONTROL}(?::[12])?(?:;[\\d:]*)?u`;
  const xterm = `\u001b\\[27;${CONTROL};${code}~`;
  const pattern = new RegExp(`${escaped(byte)}|${kitty}|${xterm}`);
  return {
    name: `Ctrl-${key.toUpperCase()}`,
    findIn: (keys) => Buffer.from(keys).toString("latin1").search(pattern),
  };
}

export interface DetachKeyOption {
  readonly detachKey: DetachKey;
}

export function detachKeyOption(): Option {
  return new Option("--detach-key <key>", "what leaves the job's terminal")
    .argParser(parseDetachKey)
    .default(parseDetachKey("ctrl-]"), "ctrl-]");
}

function escaped(char: string): string {
  return `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`;
}
