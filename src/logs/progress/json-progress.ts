import type { Recogniser } from "./recogniser.js";

const MAX_UNIT_CHARS = 32;

/**
 * A JSON object with an object `progress`, which has any of percent, current, total,
 * unit, rate and eta_seconds: `{"progress": {"current": 45, "total": 100, "unit": "files"}}`.
 */
export const jsonProgress: Recogniser = (line) => {
  if (!line.trimStart().startsWith("{") || !line.includes('"progress"')) return undefined;
  const progress = asRecord(asRecord(parseJson(line))?.["progress"]);
  if (progress === undefined) return undefined;

  const percent = amount(progress["percent"], 100);
  const total = amount(progress["total"]);
  const current = amount(progress["current"], total);
  const rate = amount(progress["rate"]);
  const etaSeconds = amount(progress["eta_seconds"]);
  if (percent === undefined && current === undefined) return undefined;
  return {
    percent,
    current,
    total,
    unit: unitOf(progress["unit"]),
    rate,
    etaMs: etaSeconds === undefined ? undefined : Math.round(etaSeconds * 1000),
  };
};

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  const isRecord = typeof value === "object" && value !== null && !Array.isArray(value);
  return isRecord ? (value as Record<string, unknown>) : undefined;
}

function amount(value: unknown, max = Number.MAX_VALUE): number | undefined {
  return typeof value === "number" && value >= 0 && value <= max ? value : undefined;
}

function unitOf(value: unknown): string {
  return typeof value === "string" ? value.slice(0, MAX_UNIT_CHARS) : "";
}
