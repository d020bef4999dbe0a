import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import pino from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import { OneTimeSecrets } from "../../../src/server/page/one-time-secrets.js";
import { PageSessions } from "../../../src/server/page/page-sessions.js";
import { rotateAccessToken } from "../../../src/server/access/access-token.js";
import { eventually } from "../../helpers/eventually.js";
import { type FakeServer, startFakeServer } from "../../helpers/fake-server.js";
import { tempDir } from "../../helpers/temp-dir.js";

const HOUR_MS = 3_600_000;
const LIST = "/procman.v1.ProcmanService/List";
const GET_LIST = `${LIST}?encoding=json&message=%7B%7D&connect=v1`;

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: Buffer;
}

interface Ask {
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly overSocket?: boolean;
}

function ask(
  server: FakeServer,
  method: string,
  path: string,
  { headers = {}, body = "", overSocket = false }: Ask = {},
): Promise<Answer> {
  const where = overSocket
    ? { socketPath: server.socketPath }
    : { host: server.host, port: server.port };
  return new Promise((resolve, reject) => {
    const req = request({ ...where, method, path, headers, agent: false }, (res) => {
      const pieces: Buffer[] = [];
      res.on("data", (data: Buffer) => pieces.push(data));
      res.on("end", () =>
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers,
          body: Buffer.concat(pieces),
        }),
      );
      res.on("error", reject);
    });
    req.on("error", reject);
    req.end(body);
  });
}

const json = ({ body }: Answer) => JSON.parse(body.toString()) as Record<string, unknown>;

async function link(server: FakeServer): Promise<string> {
  return json(await ask(server, "POST", "/ui/links", { overSocket: true }))["secret"] as string;
}

/** What a browser sends of itself with a request of the server's own page. */
const fromPage = ({ authority }: FakeServer) => ({
  origin: `http://${authority}`,
  "sec-fetch-site": "same-origin",
});

/** Goes in with a link; returns the headers of the page's requests. */
async function enter(server: FakeServer): Promise<Record<string, string>> {
  const headers = fromPage(server);
  const body = await link(server);
  const answer = await ask(server, "POST", "/ui/session", { headers, body });
  expect(answer.status).toBe(200);
  const [cookie = ""] = answer.headers["set-cookie"] ?? [];
  expect(cookie).toMatch(
    /^procman-\w+=[\w-]{43}; Max-Age=604800; Path=\/; HttpOnly; SameSite=Strict$/,
  );
  return {
    ...headers,
    cookie: cookie.split(";")[0] ?? "",
    "procman-page-key": json(answer)["key"] as string,
  };
}

const list = (server: FakeServer, headers: Record<string, string>) =>
  ask(server, "POST", LIST, {
    headers: { "content-type": "application/json", ...headers },
    body: "{}",
  });

const look = async (server: FakeServer, headers: Record<string, string>) =>
  (await ask(server, "GET", "/ui/session", { headers })).status;

describe("a link", () => {
  test("is for the socket's owner and for who has the token alone", async () => {
    const server = await startFakeServer();
    expect((await ask(server, "POST", "/ui/links", { overSocket: true })).status).toBe(200);
    const withToken = { authorization: `Bearer ${server.token}` };
    expect((await ask(server, "POST", "/ui/links", { headers: withToken })).status).toBe(200);
    expect((await ask(server, "POST", "/ui/links")).status).toBe(401);
    const wrong = { authorization: "Bearer wrong" };
    expect((await ask(server, "POST", "/ui/links", { headers: wrong })).status).toBe(401);
    // A session makes no others, which would outlive it.
    const session = await enter(server);
    expect((await ask(server, "POST", "/ui/links", { headers: session })).status).toBe(401);
    expect((await ask(server, "DELETE", "/ui/sessions", { headers: session })).status).toBe(401);
  });

  test("counts once, and only for the server's own page", async () => {
    const server = await startFakeServer({ allowedOrigins: ["https://friend.example"] });
    const body = await link(server);
    const go = (headers: Record<string, string>) =>
      ask(server, "POST", "/ui/session", { headers, body });
    expect((await go({})).status).toBe(403);
    expect((await go({ origin: "https://friend.example" })).status).toBe(403);
    expect((await go({ ...fromPage(server), "sec-fetch-site": "same-site" })).status).toBe(403);
    expect((await go(fromPage(server))).status).toBe(200);
    const second = await go(fromPage(server));
    expect(second.status).toBe(401);
    expect(json(second)["message"]).toContain('run "procman ui" for a new link');
    expect(JSON.stringify(server.logged)).not.toContain(body);
  });

  test("counts for a minute", () => {
    let nowMs = 0;
    const secrets = new OneTimeSecrets<string>({ lifetimeMs: 60_000, now: () => nowMs });
    const [early, late] = [secrets.create("early"), secrets.create("late")];
    nowMs = 59_999;
    expect(secrets.use(early)).toBe("early");
    expect(secrets.use(early)).toBeUndefined();
    nowMs = 60_000;
    expect(secrets.use(late)).toBeUndefined();
    expect(secrets.use("guessed")).toBeUndefined();
    const all = Array.from({ length: 101 }, () => secrets.create("many"));
    expect(all.map((secret) => secrets.use(secret)).filter(Boolean)).toHaveLength(100);
  });
});

describe("a session", () => {
  test("lets the page's requests in: POST, and GET, which has no Origin", async () => {
    const server = await startFakeServer();
    const session = await enter(server);
    expect((await list(server, session)).status).toBe(200);
    const { origin: _, ...headers } = session;
    expect((await ask(server, "GET", GET_LIST, { headers })).status).toBe(200);
    expect(await look(server, headers)).toBe(200);
  });

  test("does not count for what another page, or another port, can make a browser send", async () => {
    const server = await startFakeServer({ allowedOrigins: ["https://friend.example"] });
    const { cookie = "", "procman-page-key": key = "", ...page } = await enter(server);
    const site = "sec-fetch-site";
    for (const headers of [
      // The cookie alone, which goes to every port of the host, or the key alone.
      { ...page, cookie },
      { ...page, cookie, "procman-page-key": "x" },
      { ...page, "procman-page-key": key },
      // Without a word of where it comes from, and from elsewhere.
      { cookie, "procman-page-key": key },
      { cookie, "procman-page-key": key, origin: "https://friend.example" },
      { cookie, "procman-page-key": key, [site]: "cross-site" },
      { cookie, "procman-page-key": key, [site]: "same-site" },
      { cookie, "procman-page-key": key, [site]: "none" },
      { cookie, "procman-page-key": key, origin: page["origin"] ?? "", [site]: "same-site" },
    ] as Record<string, string>[]) {
      expect((await list(server, headers)).status, JSON.stringify(headers)).toBeGreaterThan(400);
      expect((await ask(server, "GET", GET_LIST, { headers })).status).toBeGreaterThan(400);
      expect(await look(server, headers)).toBeGreaterThan(400);
    }
    expect((await list(server, { cookie, "procman-page-key": key, ...page })).status).toBe(200);
  });

  test("does not stand in for a wrong token", async () => {
    const server = await startFakeServer();
    const session = await enter(server);
    expect((await list(server, { ...session, authorization: "Bearer wrong" })).status).toBe(401);
  });

  test("goes on with the next server, which finds only hashes", async () => {
    const first = await startFakeServer();
    const session = await enter(first);
    await first.close();
    const path = join(first.stateDir, "page-sessions");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = readFileSync(path, "utf8");
    expect(text).not.toContain(session["procman-page-key"]);
    expect(text).not.toContain(session["cookie"]?.split("=")[1]);
    const second = await startFakeServer({
      stateDir: first.stateDir,
      listen: [{ host: first.host, port: first.port }],
    });
    expect((await list(second, session)).status).toBe(200);
  });

  test("ends when it is left, for the next server too, and breaks off its streams", async () => {
    const server = await startFakeServer();
    const session = await enter(server);
    const other = await enter(server);
    const stream = ask(server, "POST", "/procman.v1.ProcmanService/WatchJobs", {
      headers: { ...session, "content-type": "application/connect+json" },
      body: "\0\0\0\0\x02{}",
    });
    const broken = expect(stream).rejects.toThrow(/aborted|hang up/);
    await eventually("the stream", () => server.procman.openStreams === 1);
    const left = await ask(server, "DELETE", "/ui/session", { headers: session });
    expect(left.headers["set-cookie"]?.[0]).toContain("=; Max-Age=0;");
    await broken;
    await eventually("the stream's end", () => server.procman.openStreams === 0);
    expect(await look(server, session)).toBe(401);
    expect(await look(server, other)).toBe(200);
    await server.close();
    const next = await startFakeServer({
      stateDir: server.stateDir,
      listen: [{ host: server.host, port: server.port }],
    });
    expect(await look(next, session)).toBe(401);
    expect(await look(next, other)).toBe(200);
  });

  test("ends with all others, by the socket's owner", async () => {
    const server = await startFakeServer();
    const sessions = [await enter(server), await enter(server)];
    const waiting = await link(server);
    const answer = await ask(server, "DELETE", "/ui/sessions", { overSocket: true });
    expect(json(answer)).toEqual({ ended: 2 });
    for (const session of sessions) expect(await look(server, session)).toBe(401);
    const headers = fromPage(server);
    const late = await ask(server, "POST", "/ui/session", { headers, body: waiting });
    expect(late.status).toBe(401);
  });

  test("ends with the token, also where that is replaced while no server runs", async () => {
    const server = await startFakeServer();
    const session = await enter(server);
    await rotateAccessToken(server.tokenPath);
    await eventually("the end", async () => (await look(server, session)) === 401);
    const second = await enter(server);
    await server.close();
    await rotateAccessToken(server.tokenPath);
    const next = await startFakeServer({
      stateDir: server.stateDir,
      listen: [{ host: server.host, port: server.port }],
    });
    expect(await look(next, second)).toBe(401);
  });

  test("ends when nobody uses it, and when it is old", async () => {
    let nowMs = Date.now();
    const sessions = openSessions(tempDir(), () => nowMs);
    const secrets = await sessions.create();
    const find = () => sessions.find(secrets) !== undefined;
    for (let hours = 0; hours < 7 * 24 - 11; hours += 11) {
      expect(find(), `after ${hours} h`).toBe(true);
      nowMs += 11 * HOUR_MS;
    }
    nowMs += 12 * HOUR_MS;
    expect(find()).toBe(false);
    const idle = await sessions.create();
    nowMs += 12 * HOUR_MS;
    expect(sessions.find(idle)).toBeUndefined();
  });

  test("makes room for another when there are too many", async () => {
    let nowMs = Date.now();
    const sessions = openSessions(tempDir(), () => (nowMs += HOUR_MS / 100));
    const first = await sessions.create();
    for (let count = 0; count < 100; count += 1) await sessions.create();
    expect(sessions.find(first)).toBeUndefined();
  });

  test.each(["", "{", '{"sessions":7}', '{"sessions":[7,{"hash":3},{"hash":"x"}]}'])(
    "is none by a file that has been damaged: %j",
    async (text) => {
      const dir = tempDir();
      writeFileSync(join(dir, "page-sessions"), text, { mode: 0o600 });
      const sessions = openSessions(dir);
      const secrets = await sessions.create();
      expect(sessions.find(secrets)).toBeDefined();
    },
  );

  test("that cannot be written is none; one that cannot be ended for good ends all", async () => {
    const dir = join(tempDir(), "state");
    mkdirSync(dir);
    const sessions = openSessions(dir);
    const secrets = await sessions.create();
    // What is written goes by this name first.
    mkdirSync(join(dir, "page-sessions.tmp"));
    await expect(sessions.create()).rejects.toThrow(/EISDIR|page-sessions/);
    const session = sessions.find(secrets);
    if (session) await sessions.end(session);
    expect(() => statSync(join(dir, "page-sessions"))).toThrow("ENOENT");
  });
});

describe("a file of output", () => {
  test("is sent once to the page that asks for it, byte for byte", async () => {
    const server = await startFakeServer();
    const session = await enter(server);
    server.procman.addJob("job1");
    server.procman.write("job1", Buffer.from([0, 255, 10]));
    const body = JSON.stringify({ jobId: "job1", stream: "stdout" });
    expect((await ask(server, "POST", "/ui/downloads", { body })).status).toBe(401);
    const answer = await ask(server, "POST", "/ui/downloads", { headers: session, body });
    const path = `/${String(json(answer)["path"])}`;
    const file = await ask(server, "GET", path);
    expect([...file.body]).toEqual([0, 255, 10]);
    expect(file.headers).toMatchObject({
      "content-type": "application/octet-stream",
      "content-disposition": 'attachment; filename="job1.stdout.log"',
    });
    expect((await ask(server, "GET", path)).status).toBe(401);
  });

  test("is not there for what is no job, and no stream", async () => {
    const server = await startFakeServer();
    const session = await enter(server);
    for (const body of ["", "{}", '{"jobId":"a","stream":"token"}']) {
      const { status } = await ask(server, "POST", "/ui/downloads", { headers: session, body });
      expect(status).toBe(400);
    }
    const body = JSON.stringify({ jobId: "nonesuch", stream: "stdout" });
    const answer = await ask(server, "POST", "/ui/downloads", { headers: session, body });
    expect((await ask(server, "GET", `/${String(json(answer)["path"])}`)).status).toBe(404);
  });
});

describe("the page's files", () => {
  async function serve() {
    const pageDir = tempDir();
    mkdirSync(join(pageDir, "assets"));
    const write = (name: string, text: string) =>
      writeFileSync(join(pageDir, `${name}.gz`), gzipSync(text));
    write("index.html", "<p>the page</p>");
    write("assets/a-1.js", "the code");
    writeFileSync(join(pageDir, "LICENSES.txt"), "not served");
    return startFakeServer({ pageDir });
  }

  test("are served to everybody, with a policy that allows the page's own code alone", async () => {
    const server = await serve();
    const page = await ask(server, "GET", "/?job=x", { headers: { "accept-encoding": "gzip" } });
    expect(page.status).toBe(200);
    expect(gunzipSync(page.body).toString()).toBe("<p>the page</p>");
    const policy = page.headers["content-security-policy"];
    expect(policy).toContain("default-src 'none'");
    expect(policy).toContain("script-src 'self';");
    expect(policy).toContain("frame-ancestors 'none'");
    expect(policy).not.toContain("unsafe");
    expect(page.headers).toMatchObject({
      "cache-control": "no-cache",
      "referrer-policy": "no-referrer",
      "x-content-type-options": "nosniff",
      "cross-origin-opener-policy": "same-origin",
    });
    const code = await ask(server, "GET", "/assets/a-1.js");
    expect(code.body.toString()).toBe("the code");
    expect(code.headers["cache-control"]).toContain("immutable");
    const etag = String(page.headers["etag"]);
    expect((await ask(server, "GET", "/", { headers: { "if-none-match": etag } })).status).toBe(
      304,
    );
    expect((await ask(server, "HEAD", "/")).body.length).toBe(0);
  });

  test("are those alone: no other path leads to a file", async () => {
    const server = await serve();
    const paths = [
      "/LICENSES.txt",
      "/assets/../../token",
      "/%2e%2e/token",
      "/index.html",
      "/assets",
    ];
    for (const path of paths) {
      const { status, body } = await ask(server, "GET", path);
      expect([status, body.toString()]).toMatchObject([404, expect.stringContaining("procman ui")]);
    }
    expect((await ask(server, "POST", "/")).status).toBe(404);
  });

  test("are not there where none was built", async () => {
    const server = await startFakeServer({ pageDir: join(tempDir(), "none") });
    expect((await ask(server, "GET", "/")).status).toBe(404);
  });
});

function openSessions(dir: string, now?: () => number): PageSessions {
  const sessions = new PageSessions({
    path: join(dir, "page-sessions"),
    token: "a token",
    logger: pino({ level: "silent" }),
    ...(now && { now }),
  });
  onTestFinished(() => sessions.close());
  return sessions;
}
