// Preloaded into a server: writes how many timers it has to where it is told, at SIGUSR2.
const { renameSync, writeFileSync } = require("node:fs");

process.on("SIGUSR2", () => {
  const path = process.env.PROCMAN_TEST_TIMERS;
  const timers = process.getActiveResourcesInfo().filter((name) => name === "Timeout").length;
  writeFileSync(`${path}.new`, String(timers));
  renameSync(`${path}.new`, path);
});
