import { describe, expect, test } from "vitest";
import {
  momentText,
  parseMoment,
  writtenText,
  writtenWords,
} from "../../../src/web/state/moment.js";

/** A Sunday, in the zone of whoever runs the tests. */
const NOW = new Date(2026, 10, 29, 16, 30, 15);
const at = (...parts: [number, number, number, number?, number?, number?]) =>
  new Date(parts[0], parts[1], parts[2], parts[3] ?? 0, parts[4] ?? 0, parts[5] ?? 0);

describe("a time that is typed", () => {
  test.each<[string, Date]>([
    ["now", NOW],
    ["10m ago", new Date(NOW.getTime() - 600_000)],
    ["10m", new Date(NOW.getTime() - 600_000)],
    [" 1h 30 min ago ", new Date(NOW.getTime() - 5_400_000)],
    ["1.5 hours ago", new Date(NOW.getTime() - 5_400_000)],
    ["14:30", at(2026, 10, 29, 14, 30)],
    ["9:05:07", at(2026, 10, 29, 9, 5, 7)],
    // One that is to come was meant to be yesterday's, or last year's.
    ["17:00", at(2026, 10, 28, 17, 0)],
    ["today 17:00", at(2026, 10, 29, 17, 0)],
    ["yesterday 9:00", at(2026, 10, 28, 9, 0)],
    ["yesterday", at(2026, 10, 28)],
    ["11-28 14:30:05", at(2026, 10, 28, 14, 30, 5)],
    ["12-31", at(2025, 11, 31)],
    ["2026-01-31 14:30", at(2026, 0, 31, 14, 30)],
    ["2026-01-31T14:30", at(2026, 0, 31, 14, 30)],
    ["2026-01-31T14:30:00Z", new Date("2026-01-31T14:30:00Z")],
    ["2026-01-31 14:30+02:00", new Date("2026-01-31T14:30+02:00")],
  ])("%j", (text, time) => {
    expect(parseMoment(text, NOW)?.toISOString()).toBe(time.toISOString());
  });

  test.each([
    "",
    "soon",
    "ago",
    "14",
    "24:00",
    "14:60",
    "2026-02-30",
    "13-01 10:00",
    "10 parsecs ago",
    "2026-99-99T99:99Z",
  ])("%j is none", (text) => {
    expect(parseMoment(text, NOW)).toBeUndefined();
  });

  test("is said as it could be typed", () => {
    expect(parseMoment(momentText(NOW), NOW)).toEqual(NOW);
  });
});

describe("when output was written", () => {
  const range = (from: Date, to: Date) => ({ from, to });
  const later = (ms: number) => new Date(NOW.getTime() + ms);

  test("is one time where it is known well", () => {
    expect(writtenText(range(NOW, later(2500)), NOW)).toBe("16:30:17");
    expect(writtenText(range(at(2026, 10, 28, 9), at(2026, 10, 28, 9)), NOW)).toBe(
      "11-28 09:00:00",
    );
    expect(writtenWords(range(NOW, NOW))).toBe("written 2026-11-29 16:30:15");
  });

  test("is a range where it is not", () => {
    expect(writtenText(range(NOW, later(10_000)), NOW)).toBe("16:30:15–16:30:25");
    expect(writtenText(range(NOW, later(3_600_000)), NOW)).toBe("16:30–17:30");
    const days = range(at(2026, 10, 27, 9, 10), at(2026, 10, 28, 10, 11));
    expect(writtenText(days, NOW)).toBe("11-27 09:10–11-28 10:11");
    expect(writtenText(range(at(2026, 10, 28, 23), NOW), NOW)).toBe("11-28 23:00–11-29 16:30");
    expect(writtenWords({ ...days, unobserved: true })).toBe(
      "written between 2026-11-27 09:10:00 and 2026-11-28 10:11:00: nobody looked meanwhile",
    );
  });
});
