import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { addressOf, remoteHostOf } from "../../../src/cli/remote-host.js";
import { parseSshUrl, sshWords } from "../../../src/client/ssh-agent.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { FakeCli } from "./fake-cli.js";

const host = (url: string, options = {}) => {
  const found = remoteHostOf({ host: url, ...options }, {});
  if (!found) throw new Error("no host");
  return found;
};

describe("which server", () => {
  test("--host, then --state-dir, then PROCMAN_HOST; --host with --state-dir is refused", () => {
    const env = { PROCMAN_HOST: "ssh://b", PROCMAN_TOKEN_FILE: "/t" };
    expect(remoteHostOf({}, {})).toBeUndefined();
    expect(remoteHostOf({}, env)).toMatchObject({ url: "ssh://b", source: "PROCMAN_HOST" });
    expect(remoteHostOf({ host: "ssh://a" }, env)).toMatchObject({
      url: "ssh://a",
      source: "--host",
      words: ["--host ssh://a"],
      options: { tokenFile: "/t" },
    });
    expect(remoteHostOf({ stateDir: "/s" }, env)).toBeUndefined();
    expect(() => remoteHostOf({ host: "ssh://a", stateDir: "/s" }, {})).toThrow("ssh://HOST/DIR");
    expect(() => remoteHostOf({ caFile: "/c" }, {})).toThrow("--ca-file goes with --host");
  });

  test("is asked for by each command, before its name or after it", async () => {
    const cli = new FakeCli({ env: { PROCMAN_HOST: "ssh://env" } });
    await cli.run("ls");
    await cli.run("--host", "ssh://before", "ls");
    await cli.run("--host", "ssh://before", "ls", "--host", "ssh://after");
    await cli.run("ls", "--state-dir", "/here");
    expect(cli.connected).toEqual(["ssh://env", "ssh://before", "ssh://after", "/here"]);
  });
});

describe("its address", () => {
  test.each([
    ["ssh://me@there:2222/srv/state", { baseUrl: "ssh://me@there:2222/srv/state" }],
    ["unix:///run/a%20b.sock", { socketPath: "/run/a b.sock" }],
    ["http://127.0.0.1:7420/", { baseUrl: "http://127.0.0.1:7420" }],
    ["https://jobs.example.com", { baseUrl: "https://jobs.example.com", tls: {} }],
  ])("%s", (url, address) => {
    expect(addressOf(host(url))).toEqual(address);
  });

  test.each([
    "there",
    "there:7420",
    "ftp://there",
    "ssh://",
    "ssh://me:secret@there",
    "ssh://-oProxyCommand=x",
    "https://me@there",
    "https://there/path",
  ])("%s is none", (url) => {
    expect(() => addressOf(host(url))).toThrow("--host");
  });

  test("has the token without its line break, and sends it to no other machine in clear", () => {
    const tokenFile = join(tempDir(), "token");
    writeFileSync(tokenFile, "abc\n");
    for (const here of ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"]) {
      expect(addressOf(host(here, { tokenFile }))).toMatchObject({ token: "abc" });
    }
    for (const other of ["http://there:1", "http://127.there:1"]) {
      expect(() => addressOf(host(other, { tokenFile }))).toThrow("unencrypted");
    }
  });

  test("has certificates and keys that belong together", () => {
    expect(() => addressOf(host("https://there", { certFile: "/c" }))).toThrow("belong together");
  });

  test("trusts no file without a certificate: the error would come from TLS, and say something else", () => {
    const file = join(tempDir(), "file");
    writeFileSync(file, "no certificate\n");
    expect(() => addressOf(host("https://there", { caFile: file }))).toThrow(
      `--ca-file: ${file} holds no "BEGIN CERTIFICATE" (PEM)`,
    );
    expect(() => addressOf(host("https://there", { certFile: file, keyFile: file }))).toThrow(
      "--cert-file",
    );
  });
});

describe("ssh's arguments", () => {
  test("say who, where and which state directory, and none of it is an option", () => {
    const target = parseSshUrl("ssh://me@there:22/srv/it's%20here");
    expect(target).toEqual({ host: "there", user: "me", port: "22", stateDir: "/srv/it's here" });
    const words = sshWords(target!, ["--make-dir"]);
    expect(words.join(" ")).toBe(
      "-T -o ConnectTimeout=30 -o RemoteCommand=none -l me -p 22 -- there " +
        "procman dial-stdio --make-dir --state-dir '/srv/it'\\''s here'",
    );
    expect(sshWords(parseSshUrl("ssh://[::1]/")!).slice(-2)).toEqual(["::1", "procman dial-stdio"]);
    expect(parseSshUrl("ssh://%2DoX@there")).toBeUndefined();
  });
});
