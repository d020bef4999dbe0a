"use strict";

const { readFileSync } = require("node:fs");
const path = require("node:path");
const { Script } = require("node:vm");

/*
 * Loads the bundles beside it, out of V8's code cache where there is one that the build
 * has made with this very Node: compiling is a third of a server's start. The build's
 * rehearsal, which makes it, loads them through here as well.
 */

/** @returns what runs the bundle and returns its exports, and its script */
function compile(name) {
  const filename = path.join(__dirname, name);
  // Bundles are ASCII.
  const source = readFileSync(filename, "latin1");
  const wrapped = `(function (exports, require, module, __filename, __dirname) { ${source}\n})`;
  const script = new Script(wrapped, { filename, cachedData: readCache(filename) });
  const run = (requireBundle) => {
    const module = { exports: {} };
    const requireAny = (id) => (/^\.\/\w+\.cjs$/.test(id) ? requireBundle(id) : require(id));
    script
      .runInThisContext()
      .call(module.exports, module.exports, requireAny, module, filename, __dirname);
    return module.exports;
  };
  return { script, run };
}

function readCache(filename) {
  try {
    return readFileSync(cachePath(filename));
  } catch {
    return undefined;
  }
}

/** V8 refuses what another version of it has made, or other flags; it does not look at the machine. */
function cachePath(filename) {
  return `${filename}.${process.version}-${process.platform}-${process.arch}.cache`;
}

function load(name) {
  return compile(name).run(load);
}

if (require.main === module) load("./cli.cjs");
else module.exports = { compile, cachePath };
