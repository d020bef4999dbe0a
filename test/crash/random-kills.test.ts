import { expect, test } from "vitest";
import { TestServer } from "../helpers/test-server.js";
import { crashRun } from "./crash-run.js";

// `npm run crash-test` sets these for the long run.
const kills = Number(process.env["PROCMAN_TEST_KILLS"] ?? 30);
const seed = Number(process.env["PROCMAN_TEST_SEED"] ?? Date.now() % 1_000_000);

test(`after each of ${kills} kills at random moments everything is as acknowledged (seed ${seed})`, {
  timeout: 60_000 + kills * 4000,
}, async () => {
  const server = await TestServer.start();
  const tally = await crashRun(server, kills, seed);
  console.log(`seed ${seed}: ${JSON.stringify(tally)}`);
  expect(tally.kills).toBe(kills);
  expect(tally.acknowledged).toBeGreaterThan(0);
});
