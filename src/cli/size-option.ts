import { InvalidArgumentError } from "commander";

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
};

/** Bytes, whole ones: "100MB", "1.5 GiB", "65536". @throws InvalidArgumentError */
export function parseSizeBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = UNITS[match?.[2]?.toLowerCase() ?? "none"];
  if (match === null || unit === undefined) {
    throw new InvalidArgumentError(
      'Give a number and a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB), such as "100MB".',
    );
  }
  const bytes = Math.round(Number(match[1]) * unit);
  if (bytes > Number.MAX_SAFE_INTEGER) throw new InvalidArgumentError("That is too much.");
  return bytes;
}
