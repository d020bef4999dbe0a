import { expect, test } from "vitest";
import { markdownTable, textTable } from "../../../bench/table.js";

const TITLES = ["way", "p50", "p99"];
const ROWS = [
  ["spawn", "1.5", "10"],
  ["a | b", "12.25"],
];

test("a text table aligns all but the first column to the right", () => {
  expect(textTable(TITLES, ROWS)).toEqual([
    "way      p50  p99",
    "spawn    1.5   10",
    "a | b  12.25",
  ]);
});

test("a markdown table has a cell for each title, and no bars of the cells' own", () => {
  expect(markdownTable(TITLES, ROWS)).toEqual([
    "| way | p50 | p99 |",
    "|---|---:|---:|",
    "| spawn | 1.5 | 10 |",
    "| a \\| b | 12.25 |  |",
  ]);
});
