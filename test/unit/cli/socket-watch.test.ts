import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isMissing, SocketWatch } from "../../../src/cli/socket-watch.js";
import { tempDir } from "../../helpers/temp-dir.js";

test("a socket that is made later is noticed", async () => {
  const path = join(tempDir(), "procman.sock");
  const watch = new SocketWatch(path);
  const noticed = (async () => {
    while (isMissing(path)) await watch.change();
  })();
  writeFileSync(`${path}.new`, "");
  renameSync(`${path}.new`, path);
  await noticed;
  watch.close();
});

test("it is noticed by the poll where its directory is made later", async () => {
  const path = join(tempDir(), "missing", "procman.sock");
  const watch = new SocketWatch(path);
  await watch.change();
  expect(isMissing(path)).toBe(true);
  watch.close();
});

test("one that is there is told of at once, and then no more until another takes its place", async () => {
  const path = join(tempDir(), "procman.sock");
  writeFileSync(path, "");
  const watch = new SocketWatch(path);
  await watch.change(new Promise(() => {}));
  writeFileSync(`${path}.new`, "");
  const changed = watch.change(new Promise(() => {}));
  renameSync(`${path}.new`, path);
  await changed;
  watch.close();
});

test("what ends the wait ends it", async () => {
  const watch = new SocketWatch(join(tempDir(), "procman.sock"));
  await watch.change(Promise.resolve());
  watch.close();
});
