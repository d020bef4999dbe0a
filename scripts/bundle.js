import { execFileSync } from "node:child_process";
import { chmod, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { build } from "esbuild";
import { bundledLicenses } from "./bundled-licenses.js";

/*
 * Makes the command line: dist/bin/procman.cjs, which loads the bundle cli.cjs, or
 * server.cjs where it is "procman serve"; cli.cjs loads mcp.cjs where it is "procman mcp".
 * A process that loads few files, and only what it needs, starts in a fraction of the time.
 *
 * Each is whole: what is needed late is in it too, wrapped in a function. A server may
 * need it when an upgrade has long replaced the files it was started from. So a package that
 * only they use is a development dependency, and its license is in LICENSES.txt.
 */

const ROOT = join(import.meta.dirname, "..");
const BIN = join(ROOT, "dist/bin");
const LIBRARY = join(ROOT, "node_modules/@bufbuild/protobuf/dist/esm");

/**
 * The first two lines of the command: a shell's, and to JavaScript a directive of no meaning.
 * `env node` would do, but for Node 20, which takes "--env-file" for its own wherever it
 * stands before a "--", and ends with an error where there is no such file here.
 */
const SHELL_LINES = `#!/bin/sh
":" //; exec node -- "$0" "$@"
`;

/** What most commands do not need: loaded when something of it is used. */
const LATE_BUILTINS = [
  "assert",
  "child_process",
  "crypto",
  "fs/promises",
  "http2",
  "https",
  "module",
  "os",
  "readline",
  "stream/promises",
  "timers/promises",
  "tls",
  "url",
  "util",
  "worker_threads",
  "zlib",
];

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: "node",
  target: "node20.12",
  // An ECMAScript module would have Node load its loader of those.
  format: "cjs",
  supported: { "dynamic-import": false },
  // It has a part that is no JavaScript.
  external: ["koffi"],
  banner: {
    js: 'const urlOf = (path) => require("node:url").pathToFileURL(__dirname + path).href;',
  },
  inject: ["src/platform/headers.ts"],
  metafile: true,
  logLevel: "warning",
  logOverride: { "require-resolve-not-external": "silent" },
};

// Caches of the bundles from before, too.
await rm(BIN, { recursive: true, force: true });
const cli = await build({
  ...OPTIONS,
  entryPoints: ["src/cli/main.ts"],
  outfile: "dist/bin/cli.cjs",
  plugins: [
    writtenDescriptors(),
    lateBuiltins(),
    moduleUrls(),
    otherBundle(/\/run-server\.js$/, "./server.cjs"),
    otherBundle(/\/serve-mcp\.js$/, "./mcp.cjs"),
  ],
});
const server = await build({
  ...OPTIONS,
  entryPoints: ["src/cli/serve-main.ts"],
  outfile: "dist/bin/server.cjs",
  plugins: [
    writtenDescriptors(),
    lateDescriptors(),
    lateBuiltins(),
    moduleUrls(),
    embeddedProtos(),
    withoutOtherCommands(),
  ],
});
const mcp = await build({
  ...OPTIONS,
  minify: true,
  entryPoints: ["src/mcp/serve-mcp.ts"],
  outfile: "dist/bin/mcp.cjs",
  plugins: [lateBuiltins(), unusedByMcp()],
});
const metafiles = [cli.metafile, server.metafile, mcp.metafile];
const licenses = await bundledLicenses(metafiles, ROOT);
await writeFile(join(BIN, "LICENSES.txt"), licenses);
const launcher = await readFile(join(ROOT, "scripts/launcher.cjs"), "utf8");
await writeFile(join(BIN, "procman.cjs"), SHELL_LINES + launcher);
await chmod(join(BIN, "procman.cjs"), 0o755);
try {
  execFileSync(process.execPath, [join(ROOT, "scripts/code-cache.js")], { stdio: "pipe" });
} catch (error) {
  console.warn(`no code cache was made, so procman starts slower: ${error.stderr}`);
}

/** Has the launcher stand in for modules of Node's until something of theirs is used. */
function lateBuiltins() {
  const filter = new RegExp(`^(?:node:)?(?:${LATE_BUILTINS.join("|")})$`);
  return {
    name: "late-builtins",
    setup({ onResolve }) {
      onResolve({ filter }, ({ path }) => ({
        path: path.replace(/^(?:node:)?/, "late:"),
        external: true,
      }));
    },
  };
}

/**
 * Gives reflection a descriptor of descriptors of its own, which is made when that is
 * loaded. It is one module with enums that each call uses.
 */
function lateDescriptors() {
  const path = join(LIBRARY, "wkt/google/protobuf/descriptor_pb.js");
  return {
    name: "late-descriptors",
    setup({ onResolve }) {
      onResolve({ filter: /^@bufbuild\/protobuf\/wkt$/ }, ({ importer }) =>
        importer.endsWith("/grpc-reflection.ts") ? { path, suffix: "?late" } : undefined,
      );
    },
  };
}

/** Has each module find its neighbours where the compiler has put it: the shell scripts. */
function moduleUrls() {
  return {
    name: "module-urls",
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        const source = await readFile(path, "utf8");
        if (!source.includes("import.meta.url")) return undefined;
        const compiled = relative(ROOT, path).replace(/\.ts$/, ".js");
        const url = `urlOf("/../${compiled}")`;
        return { contents: source.replaceAll("import.meta.url", url), loader: "ts" };
      });
    },
  };
}

/** Puts the .proto files that libraries read when they are loaded into the bundle. */
function embeddedProtos() {
  const name = "embedded-protos";
  const { resolve } = createRequire(import.meta.url);
  const path = resolve("@grpc/proto-loader");
  const health = join(resolve("grpc-health-check"), "../../../proto");
  const reflection = join(resolve("@grpc/reflection"), "../../proto");
  const protobuf = createRequire(path)("protobufjs");
  const embed = (dir, file) => [file, protobuf.loadSync(join(dir, file)).toJSON()];
  return {
    name,
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^@grpc\/proto-loader$/ }, ({ namespace }) =>
        namespace === name ? { path } : { path, namespace: name },
      );
      onLoad({ filter: /.*/, namespace: name }, () => {
        const files = Object.fromEntries([
          embed(health, "health/v1/health.proto"),
          embed(reflection, "grpc/reflection/v1/reflection.proto"),
          embed(reflection, "grpc/reflection/v1alpha/reflection.proto"),
        ]);
        const contents = `
          const { fromJSON } = require("@grpc/proto-loader");
          const files = ${JSON.stringify(files)};
          exports.loadSync = (path, options) => {
            const name = Object.keys(files).find((name) => path.endsWith(name));
            if (name === undefined) throw new Error(path + " is not in this bundle");
            return fromJSON(files[name], options);
          };`;
        return { contents, resolveDir: ROOT };
      });
    },
  };
}

/**
 * Writes out the descriptors of .proto files as the objects that they are made into. Else
 * each start would decode them, and make the descriptor of descriptors for that first.
 */
function writtenDescriptors() {
  return {
    name: "written-descriptors",
    setup({ onLoad }) {
      onLoad({ filter: /_pb\.(?:js|ts)$/ }, async ({ path }) => {
        const registry = await realpath(join(LIBRARY, "registry.js"));
        const { restoreJsonNames } = await import(join(LIBRARY, "codegenv2/restore-json-names.js"));
        const source = await readFile(path, "utf8");
        const written = source.replace(
          /\bfileDesc\("([^"]+)"(?:, (\[[^\]]*\]))?\)/,
          (_, base64, imports = "[]") => {
            const file = fromBinary(FileDescriptorProtoSchema, Buffer.from(base64, "base64"));
            for (const message of file.messageType) restoreJsonNames(message);
            return `written(${literal(file)}, ${imports})`;
          },
        );
        if (written === source) return undefined;
        const contents = `
          import { createEmbeddedFileRegistry } from "${registry}";
          ${written}
          function written(proto, imports) {
            proto.dependency = imports.map((file) => file.proto.name);
            const find = (name) => imports.find((file) => file.proto.name === name);
            return createEmbeddedFileRegistry(proto, find).getFile(proto.name);
          }`;
        return { contents, loader: path.endsWith(".ts") ? "ts" : "js" };
      });
    },
  };
}

/** Returns the expression that makes such a value again. A message's prototype has its defaults. */
function literal(value) {
  if (value === undefined) return "undefined";
  if (typeof value === "bigint") return `${value}n`;
  if (value instanceof Uint8Array) return `new Uint8Array([${value.join()}])`;
  if (Array.isArray(value)) return `[${value.map(literal).join()}]`;
  if (typeof value !== "object") return JSON.stringify(value);
  const fields = Object.entries(value).map(
    ([key, each]) => `${JSON.stringify(key)}: ${literal(each)}`,
  );
  const defaults = Object.getPrototypeOf(value);
  if (defaults !== Object.prototype) fields.push(`__proto__: ${literal(defaults)}`);
  return `{ ${fields.join(", ")} }`;
}

/**
 * Leaves out what the SDK of MCP brings and procman does not use: half of that bundle. It
 * asks users nothing, whose answers were to be checked; its schemas are those of Zod 4; and
 * what they complain of is read by models.
 */
function unusedByMcp() {
  const REPLACEMENTS = [
    [/\/validation\/ajv-provider\.js$/, "export class AjvJsonSchemaValidator {}"],
    [/\/zod-to-json-schema\/dist\/esm\/index\.js$/, "export const zodToJsonSchema = undefined;"],
    [/\/zod\/v4\/locales\/index\.js$/, 'export { default as en } from "./en.js";'],
  ];
  return {
    name: "unused-by-mcp",
    setup({ onLoad }) {
      for (const [filter, contents] of REPLACEMENTS) {
        onLoad({ filter }, ({ path }) => ({ contents, resolveDir: dirname(path) }));
      }
    },
  };
}

/** Leaves out what the command line loads for other commands than `serve`, which never run there. */
function withoutOtherCommands() {
  const isNeeded = /\/(?:serve|run-server)\.js$/;
  return {
    name: "without-other-commands",
    setup({ onResolve }) {
      onResolve({ filter: /^\./ }, ({ path, kind, importer }) =>
        kind === "dynamic-import" && /\/src\/cli\//.test(importer) && !isNeeded.test(path)
          ? { path: "./cli.cjs", external: true }
          : undefined,
      );
    },
  };
}

function otherBundle(filter, path) {
  return {
    name: "other-bundle",
    setup({ onResolve }) {
      onResolve({ filter }, () => ({ path, external: true }));
    },
  };
}
