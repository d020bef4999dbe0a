import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

/*
 * Takes the pictures of the page: `npm run page-pictures`. Jobs are started on a server of
 * its own, with Debian's chromium as the browser.
 */

const OUT = import.meta.dirname;
const MAIN = join(OUT, "../../dist/bin/procman.cjs");
const dir = mkdtempSync(join(tmpdir(), "procman-pictures-"));
const work = join(dir, "site");
mkdirSync(work);
const env = {
  PATH: process.env.PATH,
  HOME: dir,
  PROCMAN_STATE_DIR: join(dir, "state"),
  PROCMAN_LISTEN: "127.0.0.1:0",
};

const procman = (...args) =>
  execFileSync(process.execPath, [MAIN, ...args], {
    env,
    cwd: work,
    stdio: ["ignore", "pipe", "ignore"],
  })
    .toString()
    .trim();

const JOBS = [
  ["--label", "project=site", "--", "sh", "-c", "echo '12 tests passed'"],
  ["--label", "project=site", "--", "sh", "-c", "echo 'error TS2345: no' >&2; exit 2"],
  ["--label", "team=ml", "--", "sh", "-c", "kill -SEGV $$"],
  ["--label", "project=site", "--", "sh", "-c", "sleep 900 & echo 'watching for changes'"],
  ["--timeout", "1s", "--label", "team=ml", "--", "sh", "-c", "sleep 900"],
  ["--label", "team=ml", "--label", "stage=train", "--name", "train", "--", "sh", "-c", training()],
  ["--name", "web", "--label", "project=site", "--", "sh", "-c", server()],
  ["--label", "project=site", "--", "sh", "-c", download()],
];

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
});
try {
  for (const words of JOBS) procman("run", "-d", ...words);
  const cancelled = procman("run", "-d", "--", "sleep", "900");
  procman("cancel", cancelled);
  const link = procman("ui");
  for (const colorScheme of ["light", "dark"]) {
    const context = await browser.newContext({
      viewport: { width: 1200, height: 680 },
      deviceScaleFactor: 1.5,
      colorScheme,
    });
    const page = await context.newPage();
    await page.goto(colorScheme === "light" ? link : procman("ui"));
    await page.getByRole("row").nth(JOBS.length).waitFor();
    await page.waitForTimeout(6000);
    if (colorScheme === "light") await page.screenshot({ path: join(OUT, "page-jobs.png") });
    await page.getByText("train", { exact: true }).first().click();
    await page.waitForTimeout(8000);
    await page.getByLabel("times").check();
    await page.waitForTimeout(1500);
    await page.screenshot({ path: join(OUT, `page-job-${colorScheme}.png`) });
    if (colorScheme === "light") {
      await page.keyboard.press("Escape");
      await page.keyboard.press("n");
      await page
        .getByLabel("Command line")
        .fill("tar -C /srv/site -czf 'backup of today.tgz' public | tee log");
      await page.getByText("Limits", { exact: true }).click();
      await page.getByLabel("Memory of all its processes, in MB").fill("512");
      await page.screenshot({ path: join(OUT, "page-start.png") });
    }
    await context.close();
  }
  const phone = await browser.newContext({
    viewport: { width: 390, height: 760 },
    deviceScaleFactor: 2,
    colorScheme: "dark",
  });
  const page = await phone.newPage();
  await page.goto(procman("ui"));
  await page.getByRole("row").nth(JOBS.length).waitFor();
  await page.waitForTimeout(1000);
  await page.screenshot({ path: join(OUT, "page-phone.png") });
} finally {
  await browser.close();
  procman("rm", "-f", "--all");
  procman("stop");
  rmSync(dir, { recursive: true, force: true });
}

function training() {
  return `i=0; while [ $i -lt 100 ]; do i=$((i+1)); n=0; while [ $n -lt 60000 ]; do n=$((n+1)); done;
printf '\\033[36mepoch %d\\033[0m/100  loss \\033[1m0.%02d\\033[0m  acc \\033[32m0.9%d\\033[0m\\n' $i $((100-i)) $((i%10));
[ $((i%9)) = 0 ] && echo "warning: gradient clipped at step $((i*500))" >&2; printf 'progress: %d%%\\n' $i; sleep 0.3; done`;
}

function server() {
  return "echo 'listening on http://localhost:3000'; while :; do echo 'GET /index.html 200 3ms'; sleep 2; done";
}

function download() {
  return "for i in $(seq 1 100); do printf '\\rdownloaded %d MB of 100 MB' $i; sleep 0.8; done";
}
