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
    const requireAny = (id) => {
      if (id.startsWith("late:")) return late(id.slice("late:".length));
      return /^\.\/\w+\.cjs$/.test(id) ? requireBundle(id) : require(id);
    };
    script
      .runInThisContext()
      .call(module.exports, module.exports, requireAny, module, filename, __dirname);
    return module.exports;
  };
  return { script, run };
}

/**
 * Stands for a module of Node's, which is loaded when a property of it is read or it is called,
 * as node:assert is. It is its own prototype, so that the copies that bundles make of it, to
 * import it as a whole, ask it, too.
 */
function late(id) {
  let loaded;
  const loadModule = () => (loaded ??= require(`node:${id}`));
  // An arrow function has no property that a proxy of it has to show as it is.
  const stand = new Proxy(() => {}, {
    get: (_, name) => loadModule()[name],
    apply: (_target, _self, args) => loadModule()(...args),
    getPrototypeOf: () => stand,
  });
  return stand;
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

// Whoever waits for a server waits less where it loads nothing of the other commands.
const bundle = process.argv[2] === "serve" ? "./server.cjs" : "./cli.cjs";
if (require.main === module) load(bundle).main();
else module.exports = { compile, cachePath };
