import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { createProcmanClient } from "../../src/client/index.js";
import { run, type RunOptions } from "../../src/contract/run.js";
import type { Procman } from "../../src/contract/procman.js";
import { Certificates } from "./certificates.js";
import { eventually } from "./eventually.js";
import { freePort } from "./free-port.js";
import { lacks } from "./machine.js";
import { sharedTempDir } from "./temp-dir.js";

/*
 * A machine of our own: Debian's kernel for clouds, in which NVMe and ext4 are built, in an
 * emulator that needs no privilege and no hardware. It has what no container has: cgroups of
 * version 2 with all controllers, and a power switch.
 */

const ROOT = join(import.meta.dirname, "../..");
const TOKEN = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
const BOOT_TIMEOUT_MS = 180_000;

const KERNEL_PARAMETERS =
  "console=ttyS0 root=/dev/nvme0n1 rw init=/init panic=-1 quiet mitigations=off";

/** Enough for a network card, in the order in which they need each other. */
const MODULES = [
  "virtio/virtio_ring",
  "virtio/virtio",
  "virtio/virtio_pci_modern_dev",
  "virtio/virtio_pci_legacy_dev",
  "virtio/virtio_pci",
  "net/core/failover",
  "net/net_failover",
  "net/virtio_net",
];

/**
 * Process 1. It gives the server a cgroup as a service manager does, beside which those of its
 * jobs are, and starts it again whenever it ends.
 */
const INIT = `#!/bin/sh
export PATH=/bin HOME=/tmp
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for module in ${MODULES.map((name) => basename(name)).join(" ")}; do insmod /modules/$module.ko; done
ifconfig lo 127.0.0.1 up
ifconfig eth0 10.0.2.15 up
chown -R 0:0 /state
service=/sys/fs/cgroup/procman.service
mkdir -p $service/procman-server
echo "+cpu +memory +pids +io" >/sys/fs/cgroup/cgroup.subtree_control
while :; do
	(
		echo 0 >$service/procman-server/cgroup.procs
		exec node /app/dist/bin/procman.cjs serve --state-dir /state --listen 10.0.2.15:7420 \\
			--tls-cert /app/server.pem --tls-key /app/server.key
	)
done
`;

/** Whether there are an emulator and a kernel for it. */
export function canEmulate(): boolean {
  const hasEmulator = spawnSync("qemu-system-x86_64", ["--version"]).status === 0;
  if (process.arch === "x64" && hasEmulator && kernelDir() !== undefined) return true;
  return lacks("qemu-system-x86_64 and the kernel of linux-image-cloud-amd64");
}

/** Where the kernel's package was unpacked: PROCMAN_TEST_KERNEL, or this machine. */
function kernelDir(): string | undefined {
  const dirs = [process.env["PROCMAN_TEST_KERNEL"] ?? "", "/"];
  return dirs.find((dir) => dir !== "" && kernelOf(dir) !== undefined);
}

function kernelOf(dir: string): string | undefined {
  if (!existsSync(join(dir, "boot"))) return undefined;
  return readdirSync(join(dir, "boot")).find((name) => /^vmlinuz-.*-cloud-amd64$/.test(name));
}

/** A machine that serves procman as root, with its disk. */
export class VirtualMachine {
  readonly #dir: string;
  readonly #certificates: Certificates;
  #emulator: ChildProcess | undefined;
  #client: Procman | undefined;
  #console = "";

  private constructor(dir: string) {
    this.#dir = dir;
    this.#certificates = new Certificates(dir);
  }

  /** One for all tests of a file. */
  static shared(): VirtualMachine {
    const machine = new VirtualMachine(sharedTempDir());
    beforeAll(async () => {
      machine.#makeDisk();
      await machine.switchOn();
    }, BOOT_TIMEOUT_MS);
    afterAll(() => machine.switchOff());
    return machine;
  }

  get client(): Procman {
    if (!this.#client) throw new Error("the machine is off");
    return this.#client;
  }

  /** Runs a shell script as a job to its end; returns the job and what it has written. */
  async run(script: string, options: Partial<RunOptions> = {}) {
    const words = { command: "sh", args: ["-c", script], waitMs: 60_000 };
    const { job, parts } = await run(this.client, { ...words, ...options });
    return { job, output: Buffer.concat(parts.map(({ data }) => data)).toString() };
  }

  /** Resolves when its server answers. */
  async switchOn(): Promise<void> {
    const port = await freePort();
    const kernel = kernelDir() as string;
    const words = [
      "-M q35 -accel tcg,thread=multi -cpu max -smp 2 -m 768",
      "-nodefaults -nographic -no-reboot -serial stdio",
      "-drive file=disk,format=raw,if=none,id=disk -device nvme,drive=disk,serial=1",
      `-netdev user,id=net,hostfwd=tcp:127.0.0.1:${port}-10.0.2.15:7420`,
      "-device virtio-net-pci,netdev=net,romfile=",
    ].flatMap((line) => line.split(" "));
    const image = join(kernel, "boot", kernelOf(kernel) as string);
    const emulator = spawn(
      "qemu-system-x86_64",
      [...words, "-kernel", image, "-append", KERNEL_PARAMETERS],
      { cwd: this.#dir, stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#emulator = emulator;
    for (const stream of [emulator.stdout, emulator.stderr]) {
      stream.on("data", (data: Buffer) => (this.#console += data.toString()));
    }
    this.#client = createProcmanClient({
      baseUrl: `https://127.0.0.1:${port}`,
      token: TOKEN,
      tls: { ca: readFileSync(this.#certificates.certPath("ca")) },
      reconnect: { giveUpAfterMs: BOOT_TIMEOUT_MS },
    });
    await eventually(
      "the machine's server",
      async () => {
        if (emulator.exitCode !== null) throw new Error(`the machine is off: ${this.#console}`);
        return (await this.client.list().catch(() => undefined)) !== undefined;
      },
      BOOT_TIMEOUT_MS,
    ).catch((error: unknown) => {
      throw new Error(`the machine does not start: ${this.#console}`, { cause: error });
    });
  }

  /** As by its power switch: what it has not written to its disk is lost. */
  async switchOff(): Promise<void> {
    await this.#client?.close();
    this.#client = undefined;
    const emulator = this.#emulator;
    this.#emulator = undefined;
    if (!emulator || emulator.exitCode !== null || emulator.signalCode !== null) return;
    const ended = once(emulator, "exit");
    emulator.kill("SIGKILL");
    await ended;
  }

  #makeDisk(): void {
    const root = join(this.#dir, "root");
    for (const name of ["bin", "modules", "proc", "sys", "dev", "tmp", "state", "app/dist"]) {
      mkdirSync(join(root, name), { recursive: true });
    }
    const busybox = execFileSync("which", ["busybox"], { encoding: "utf8" }).trim();
    for (const program of [process.execPath, "/bin/dash", "/usr/bin/unshare", busybox]) {
      copyProgram(program, root);
    }
    for (const name of execFileSync(busybox, ["--list"], { encoding: "utf8" }).trim().split("\n")) {
      if (!["busybox", "sh", "unshare"].includes(name))
        symlinkSync("busybox", join(root, "bin", name));
    }
    symlinkSync("dash", join(root, "bin/sh"));
    this.#copyKernelModules(join(root, "modules"));
    this.#copyProduct(join(root, "app"));
    writeFileSync(join(root, "state/token"), `${TOKEN}\n`, { mode: 0o600 });
    chmodSync(join(root, "state"), 0o700);
    writeFileSync(join(root, "init"), INIT, { mode: 0o755 });
    execFileSync("mke2fs", ["-q", "-t", "ext4", "-d", root, join(this.#dir, "disk"), "400M"], {
      env: { PATH: "/sbin:/usr/sbin" },
      stdio: "pipe",
    });
  }

  #copyKernelModules(into: string): void {
    const kernel = kernelDir() as string;
    const version = (kernelOf(kernel) as string).replace("vmlinuz-", "");
    const dir = join(kernel, "lib/modules", version, "kernel");
    for (const name of MODULES) {
      const path = name.startsWith("net/core") ? name : `drivers/${name}`;
      copyFileSync(join(dir, `${path}.ko`), join(into, `${basename(name)}.ko`));
    }
  }

  #copyProduct(app: string): void {
    this.#certificates.createAuthority("ca");
    this.#certificates.issue("server", "ca");
    copyFileSync(this.#certificates.certPath("server"), join(app, "server.pem"));
    copyFileSync(this.#certificates.keyPath("server"), join(app, "server.key"));
    const copy = (path: string) => cpSync(join(ROOT, path), join(app, path), { recursive: true });
    const koffi = ["koffi", "@koromix/koffi-linux-x64"].map((name) => join("node_modules", name));
    for (const path of ["package.json", "dist/bin", "dist/src/engine/local", ...koffi]) copy(path);
  }
}

/** Copies a program to the /bin of that root, with the libraries that it is linked with. */
function copyProgram(program: string, root: string): void {
  copyFileSync(program, join(root, "bin", basename(program)));
  const { stdout } = spawnSync("ldd", [program], { encoding: "utf8" });
  for (const [, library = ""] of stdout.matchAll(/(\/\S+) \(0x/g)) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    copyFileSync(library, join(root, library));
  }
}
