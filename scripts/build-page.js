import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { build } from "vite";
import { bundledLicenses } from "./bundled-licenses.js";

/*
 * Makes the page, dist/web: src/web and the packages that it uses, bundled by Vite. Each
 * file is compressed once, here, and sent so. All but index.html have a hash in their name.
 */

const ROOT = join(import.meta.dirname, "..");
const OUT = join(ROOT, "dist/web");

const { output } = await build({
  root: join(ROOT, "src/web"),
  configFile: false,
  base: "./",
  logLevel: "warn",
  publicDir: false,
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    // What is inlined, the page's policy would refuse.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});

const modules = output.flatMap((each) => (each.type === "chunk" ? each.moduleIds : []));
const inputs = Object.fromEntries(
  modules.map((id) => [id.replace(/^\0/, "").replace(/\?.*$/, ""), {}]),
);
await writeFile(
  join(OUT, "LICENSES.txt"),
  await bundledLicenses([{ outputs: { page: { inputs } } }], ROOT),
);
for (const name of await readdir(OUT, { recursive: true })) {
  if (!/\.\w+$/.test(name) || name === "LICENSES.txt") continue;
  const path = join(OUT, name);
  const options = { level: constants.Z_BEST_COMPRESSION };
  await writeFile(`${path}.gz`, gzipSync(await readFile(path), options));
  await rm(path);
}
