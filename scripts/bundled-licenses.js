import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";

/** The directory of the package that a file is in. A plugin's files have its name before them. */
const PACKAGE_DIR = /^(?:[\w-]+:)?(.*node_modules\/(?:@[^/]+\/)?[^/]+)/;

/**
 * Returns the licences of the packages that went into bundles, as those licences ask for.
 * @param {import("esbuild").Metafile[]} metafiles of the bundles
 * @param {string} root what their paths are relative to
 */
export async function bundledLicenses(metafiles, root) {
  const paths = metafiles.flatMap(({ outputs }) =>
    Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs)),
  );
  const dirs = paths.flatMap((path) => PACKAGE_DIR.exec(path)?.[1] ?? []);
  const packages = new Set(dirs.map((dir) => resolve(root, dir)));
  const licenses = await Promise.all([...packages].map(licenseOf));
  return licenses.sort().join(`\n${"-".repeat(80)}\n\n`);
}

async function licenseOf(dir) {
  const { name, version, license } = JSON.parse(await readFile(join(dir, "package.json"), "utf8"));
  if (!license) throw new Error(`${dir} names no license`);
  const files = (await readdir(dir)).filter((file) => /^(?:licen[cs]e|notice)/i.test(file)).sort();
  const texts = await Promise.all(files.map((file) => readFile(join(dir, file), "utf8")));
  return [`${name} ${version}: ${license}\n`, ...texts.map((text) => `${text.trim()}\n`)].join(
    "\n",
  );
}
