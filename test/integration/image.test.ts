import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isHere } from "../helpers/foreign-parts.js";
import { isRoot } from "../helpers/machine.js";
import { tempDir } from "../helpers/temp-dir.js";

const ROOT = join(import.meta.dirname, "../..");

/**
 * Runs the steps of the image's last stage on a copy-on-write view of this machine, and its
 * entry point as the process 1 of a namespace. All mounts and processes end with the script.
 */
const SCRIPT = `
set -e
mount -t overlay overlay -o "lowerdir=/,upperdir=$TOP/upper,workdir=$TOP/work" "$TOP/root"
mount --rbind /dev "$TOP/root/dev"
mount -t proc proc "$TOP/root/proc"
cp "$TOP"/procman-*.tgz "$TOP/root/tmp"
chroot "$TOP/root" sh -e "$TOP/steps" >&2
export $IMAGE_ENV
enter() { chroot --userspec="$IMAGE_USER" "$TOP/root" env -C / HOME=/home/procman "$@"; }
enter $ENTRY &
until [ -S "$TOP/root/state/procman.sock" ]; do sleep 0.05; done
enter procman run -- echo in the image
enter procman status
`;

test.skipIf(!isRoot())(
  "the image's steps give a server, where this machine is like its base",
  {
    timeout: 300_000,
  },
  ({ skip }) => {
    const file = readFileSync(join(ROOT, "packaging/Dockerfile"), "utf8").replaceAll(/\\\n/g, " ");
    const [, base, stage = ""] = /^FROM (\S+)$([^]*)/m.exec(file) ?? [];
    if (base !== baseOfThisMachine()) skip(`the image's base is ${base}`);
    const all = (name: string) =>
      [...stage.matchAll(new RegExp(`^${name} (.*)$`, "gm"))].map(([, rest]) => rest as string);
    const words = (name: string) => (JSON.parse(all(name)[0] as string) as string[]).join(" ");

    const top = tempDir();
    for (const dir of ["upper", "work", "root"]) mkdirSync(join(top, dir));
    writeFileSync(join(top, "steps"), all("RUN").join("\n"));
    const pack = ["pack", "--ignore-scripts", "--pack-destination", top];
    execFileSync("npm", pack, { cwd: ROOT, stdio: "ignore" });
    const env = {
      PATH: process.env["PATH"],
      TOP: top,
      IMAGE_ENV: all("ENV").join(" "),
      IMAGE_USER: all("USER")[0],
      ENTRY: `${words("ENTRYPOINT")} ${words("CMD")}`,
    };
    const namespaces = ["--mount", "--pid", "--fork", "--kill-child"];
    const { status, stdout, stderr } = spawnSync("unshare", [...namespaces, "sh", "-c", SCRIPT], {
      env,
      encoding: "utf8",
    });
    const apt = /^[EW]: .*(?:resolve|connect|fetch).*$/im.exec(stderr)?.[0];
    if (!isHere(status === 0 ? undefined : apt)) return;
    expect(status, stderr).toBe(0);
    expect(stdout).toContain("in the image\n");
    expect(stdout).toMatch(/^socket: +\/state\/procman\.sock$/m);
    expect(stdout).toMatch(/^TCP: +none/m);
  },
);

function baseOfThisMachine(): string {
  const release = readFileSync("/etc/os-release", "utf8");
  const codename = /^VERSION_CODENAME=(.*)$/m.exec(release)?.[1];
  return `node:${process.versions.node.split(".")[0]}-${codename}-slim`;
}
